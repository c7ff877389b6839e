using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>What a kernel that is entered by PVH is told: start info, memory map, initial RAM disk, ACPI.</summary>
internal static class PvhBoot
{
    /// <summary>Writes the start info and what it points to into the boot page.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="map">Memory map.</param>
    /// <param name="initrd">Initial RAM disk, empty for none.</param>
    /// <param name="rsdp">Guest address of the RSDP, 0 for none.</param>
    internal static void Write(GuestMemory memory, ReadOnlySpan<MemoryMapEntry> map, in LoadedInitrd initrd, ulong rsdp)
    {
        if (!memory.TryRange(BootLayout.StartInfo, BootLayout.CommandLine - BootLayout.StartInfo, out HostRange page)) throw MemoryMap.TooSmall(memory);
        page.Store(0, new HvmStartInfo
        {
            Magic = PvhConst.Magic, Version = PvhConst.Version, CommandLine = BootLayout.CommandLine, Rsdp = rsdp,
            ModuleCount = initrd.Size == 0 ? 0u : 1u, ModuleList = initrd.Size == 0 ? 0 : BootLayout.ModuleList,
            MemoryMap = BootLayout.MemoryMap, MemoryEntries = (uint)map.Length,
        });
        if (initrd.Size != 0) page.Store(BootLayout.ModuleList - BootLayout.StartInfo, new HvmModule { Address = initrd.Address, Size = initrd.Size });
        ulong at = BootLayout.MemoryMap - BootLayout.StartInfo;
        foreach (ref readonly MemoryMapEntry entry in map)
        {
            page.Store(at, new HvmMemoryMapEntry { Address = entry.Start, Size = entry.Length, Type = (uint)entry.Type });
            at += (ulong)Unsafe.SizeOf<HvmMemoryMapEntry>();
        }
    }
}
