using System.Diagnostics;
using MicroVm.Kvm;

// Censuses of descriptors and threads mean nothing while other machines run.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Guest.Tests;

/// <summary>A test that runs a tiny guest on this machine's KVM; skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmFactAttribute : FactAttribute
{
    public KvmFactAttribute() => Skip = Guests.WhyNot;
}

/// <summary>The same for a test with data.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmTheoryAttribute : TheoryAttribute
{
    public KvmTheoryAttribute() => Skip = Guests.WhyNot;
}

/// <summary>The tiny guests of tests/guests, built when the first test asks for one.</summary>
internal static class Guests
{
    private static readonly Lazy<string> Folder = new(Build);

    /// <summary>Why no guest can run here, or null.</summary>
    internal static string? WhyNot { get; } = File.Exists(KvmSystem.DevicePath) ? null : "no /dev/kvm on this machine";

    /// <summary>Path of a guest.</summary>
    internal static string Path(string name) => System.IO.Path.Combine(Folder.Value, name + ".elf");

    /// <summary>A machine with 16 MiB that runs a guest.</summary>
    internal static MicroVm.MachineOptions Options(string name, string commandLine = "") =>
        new() { Kernel = Path(name), CommandLine = commandLine, MemoryBytes = 16 << 20, KernelCache = false };

    internal static MicroVm.MachineResult Run(MicroVm.MachineOptions options)
    {
        using MicroVm.Machine machine = MicroVm.Machine.Create(options);
        return machine.Run();
    }

    private static string Build()
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(System.IO.Path.Combine(folder.FullName, "MicroVm.sln"))) folder = folder.Parent!;
        ProcessStartInfo start = new(System.IO.Path.Combine(folder.FullName, "tests/guests/build")) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException("tests/guests/build failed");
    }
}
