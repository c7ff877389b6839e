using System.Diagnostics;

namespace MicroVm.Tests.Shared;

/// <summary>The tiny guests of <c>tests/guests</c>: in the folder <c>MICROVM_GUESTS</c>, or built when the first test asks.</summary>
public static class Guests
{
    private static readonly Lazy<string> s_folder = new(static () =>
        Environment.GetEnvironmentVariable("MICROVM_GUESTS") is { Length: > 0 } given ? given : Build());

    /// <summary>Path of a guest's ELF file, by its name without the extension.</summary>
    public static string Path(string name) => System.IO.Path.Combine(s_folder.Value, name + ".elf");

    private static string Build()
    {
        ProcessStartInfo start = new(Repository.Full("tests/guests/build")) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException("tests/guests/build failed. Install gcc and binutils.");
    }
}
