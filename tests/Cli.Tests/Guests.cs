using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>The tiny guests of <c>tests/guests</c>, built when first asked for.</summary>
internal static class Guests
{
    private static readonly Lazy<string> Folder = new(Build);

    internal static bool HasKvm => File.Exists("/dev/kvm");

    internal static string Path(string name) => HasKvm ? System.IO.Path.Combine(Folder.Value, name) : "";

    private static string Build()
    {
        using var build = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(System.IO.Path.Combine(Cli.Repository, "tests/guests/build")) { RedirectStandardOutput = true })!;
        string folder = build.StandardOutput.ReadToEnd().Trim();
        build.WaitForExit();
        return build.ExitCode == 0 ? folder : throw new InvalidOperationException("tests/guests/build failed: are as and ld (binutils) installed?");
    }
}

/// <summary>A test that begins a machine.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class KvmFactAttribute : FactAttribute
{
    public KvmFactAttribute()
    {
        if (!Guests.HasKvm) Skip = "no /dev/kvm here";
    }
}
