using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>What a kernel that is entered by the Linux 64-bit or 32-bit boot protocol is told and stands on: zero page,
/// GDT, identity page tables.</summary>
internal static class LinuxBoot
{
    /// <summary>Bytes of the GDT: up to the two slots of the task register.</summary>
    internal const int GdtBytes = LinuxBootConst.TaskSelector + 2 * sizeof(ulong);

    private const ulong IdentityEnd = 1ul << 32;

    /// <summary>Writes the zero page, the GDT and the page tables.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="kernel">Kernel; its setup header is taken over.</param>
    /// <param name="map">Memory map.</param>
    /// <param name="initrd">Initial RAM disk, empty for none.</param>
    /// <param name="rsdp">Guest address of the RSDP, 0 for none.</param>
    internal static void Write(GuestMemory memory, in LoadedKernel kernel, ReadOnlySpan<MemoryMapEntry> map, in LoadedInitrd initrd, ulong rsdp)
    {
        if (!memory.TryRange(BootLayout.BootAreaStart, BootLayout.BootAreaEnd - BootLayout.BootAreaStart, out HostRange area)) throw MemoryMap.TooSmall(memory);
        WriteZeroPage(area, kernel.Header ?? NoHeader, map, initrd, rsdp);
        WriteGdt(area, kernel.Mode == BootMode.Linux32 ? SegmentDescriptor.Code32 : SegmentDescriptor.Code64);
        if (kernel.Mode == BootMode.Linux64) WritePageTables(area);
    }

    private static BootParams NoHeader => new()
    {
        BootFlag = LinuxBootConst.BootFlag, Header = LinuxBootConst.HeaderMagic, Version = LinuxBootConst.Version,
        KernelAlignment = LinuxBootConst.KernelAlignment, InitrdAddrMax = LinuxBootConst.InitrdMax, CommandLineSize = LinuxBootConst.CommandLineMax,
    };

    private static void WriteZeroPage(HostRange area, BootParams page, ReadOnlySpan<MemoryMapEntry> map, in LoadedInitrd initrd, ulong rsdp)
    {
        ulong at = BootLayout.ZeroPage - BootLayout.BootAreaStart;
        page.TypeOfLoader = LinuxBootConst.LoaderUnknown;
        page.LoadFlags = (byte)((page.LoadFlags | (byte)LinuxLoadFlags.LoadedHigh) & ~(byte)LinuxLoadFlags.CanUseHeap);
        page.CommandLinePtr = (uint)BootLayout.CommandLine;
        page.RamdiskImage = (uint)initrd.Address;
        page.RamdiskSize = (uint)initrd.Size;
        page.ExtRamdiskImage = (uint)(initrd.Address >> 32);
        page.ExtRamdiskSize = (uint)(initrd.Size >> 32);
        page.AcpiRsdp = rsdp;
        page.E820Entries = (byte)map.Length;
        area.Store(at, page);
        at += LinuxBootConst.E820Table;
        foreach (ref readonly MemoryMapEntry entry in map)
        {
            area.Store(at, new E820Entry { Address = entry.Start, Size = entry.Length, Type = (uint)entry.Type });
            at += (ulong)Unsafe.SizeOf<E820Entry>();
        }
    }

    private static void WriteGdt(HostRange area, ulong code)
    {
        ulong gdt = BootLayout.Gdt - BootLayout.BootAreaStart;
        area.Store(gdt + LinuxBootConst.CodeSelector, code);
        area.Store(gdt + LinuxBootConst.DataSelector, SegmentDescriptor.Data32);
        area.Store(gdt + LinuxBootConst.TaskSelector, SegmentDescriptor.Task);
    }

    // 2 MiB pages: every x86-64 has them, and 1 GiB ones not.
    private static void WritePageTables(HostRange area)
    {
        const ulong table = (ulong)PageEntry.Present | (ulong)PageEntry.Writable, leaf = table | (ulong)PageEntry.Large;
        const ulong size = X86Const.PageTableEntries * sizeof(ulong);
        ulong top = BootLayout.PageTables - BootLayout.BootAreaStart, pointers = top + size, directories = pointers + size;
        area.Store(top, BootLayout.BootAreaStart + pointers | table);
        for (ulong i = 0; i < IdentityEnd / X86Const.LargePageSize / X86Const.PageTableEntries; i++)
            area.Store(pointers + i * sizeof(ulong), BootLayout.BootAreaStart + directories + i * size | table);
        for (ulong i = 0; i < IdentityEnd / X86Const.LargePageSize; i++)
            area.Store(directories + i * sizeof(ulong), i * X86Const.LargePageSize | leaf);
    }
}
