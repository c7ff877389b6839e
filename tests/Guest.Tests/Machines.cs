using MicroVm;

// Censuses of descriptors and threads mean nothing while other machines run.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Guest.Tests;

/// <summary>Machines that run a tiny guest.</summary>
internal static class Machines
{
    /// <summary>A machine with 16 MiB that runs a guest.</summary>
    internal static MachineOptions Options(string name, string commandLine = "") =>
        new() { Kernel = Guests.Path(name), CommandLine = commandLine, MemoryBytes = 16 << 20, KernelCache = false };

    internal static MachineResult Run(MachineOptions options)
    {
        using Machine machine = Machine.Create(options);
        return machine.Run();
    }
}
