using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>What a guest is to be started with.</summary>
/// <param name="Kernel">Path of the kernel.</param>
/// <param name="Initrd">Path of the initial RAM disk, null for none.</param>
/// <param name="CommandLine">Kernel command line.</param>
/// <param name="UseCache">Whether unpacked kernels may be kept in the user's cache.</param>
internal readonly record struct BootSource(string Kernel, string? Initrd, string CommandLine, bool UseCache = true);

/// <summary>Puts kernel, initial RAM disk, command line and boot parameters into guest memory. ACPI tables are the machine's part.</summary>
internal static class BootLoader
{
    /// <summary>Loads everything into memory that is still zero.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="source">What to load.</param>
    /// <param name="rsdp">Guest address of the RSDP (<see cref="BootLayout.Acpi"/>), 0 for a guest without ACPI.</param>
    /// <param name="reserved">Ranges that the memory map calls reserved besides the legacy area, ascending: ECAM for example.</param>
    /// <returns>The registers with which vCPU 0 starts.</returns>
    /// <exception cref="MicroVmException">A file cannot be used, or does not fit.</exception>
    internal static BootState Load(GuestMemory memory, in BootSource source, ulong rsdp, ReadOnlySpan<MemoryMapEntry> reserved)
    {
        using BootFile kernel = BootFile.OpenKernel(source.Kernel);
        return Load(memory, kernel, source, rsdp, reserved, out _);
    }

    /// <summary>The same with the kernel opened already, and with what became of it.</summary>
    internal static BootState Load(GuestMemory memory, BootFile file, in BootSource source, ulong rsdp, ReadOnlySpan<MemoryMapEntry> reserved, out LoadedKernel kernel)
    {
        if (memory.Size < BootLayout.MinMemory) throw MemoryMap.TooSmall(memory);
        kernel = KernelLoader.Load(memory, file, source.UseCache ? KernelCache.OpenDefault : null);
        int limit = CommandLineLimit(kernel);
        CommandLine.Write(memory, kernel.IsLinux ? CommandLine.ForLinux(source.CommandLine, limit)
            : source.CommandLine, limit);
        LoadedInitrd initrd = default;
        if (source.Initrd is not null)
        {
            using BootFile disk = BootFile.OpenInitrd(source.Initrd);
            initrd = InitrdLoader.Load(memory, disk, kernel, InitrdLimit(kernel));
        }
        Span<MemoryMapEntry> map = stackalloc MemoryMapEntry[BootLayout.MemoryMapMax];
        map = map[..MemoryMap.Build(memory.Regions, reserved, map)];
        if (kernel.Mode == BootMode.Pvh32)
        {
            PvhBoot.Write(memory, map, initrd, rsdp);
            return BootState.Pvh(kernel.Entry);
        }
        LinuxBoot.Write(memory, kernel, map, initrd, rsdp);
        return kernel.Mode == BootMode.Linux32 ? BootState.Linux32(kernel.Entry) : BootState.Linux(kernel.Entry);
    }

    // A kernel without a setup header says nothing, and then Linux of today is assumed.
    private static int CommandLineLimit(in LoadedKernel kernel) =>
        kernel.Header is { CommandLineSize: > 0 } header ? (int)Math.Min(header.CommandLineSize, LinuxBootConst.CommandLineMax) : LinuxBootConst.CommandLineMax;

    private static ulong InitrdLimit(in LoadedKernel kernel) =>
        kernel.Header is { InitrdAddrMax: > 0 } header ? header.InitrdAddrMax : LinuxBootConst.InitrdMax;
}
