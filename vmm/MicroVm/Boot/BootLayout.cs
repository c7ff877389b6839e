using MicroVm.Devices;

namespace MicroVm.Boot;

/// <summary>What stands where in the first megabyte of guest memory.</summary>
/// <remarks><code>
/// 0x00000  untouched: Linux takes page 0 for the BIOS's and never uses it
/// 0x01000  boot page: PVH start info, module, memory map, GDT; command line in its upper half
/// 0x02000  zero page of the Linux boot protocol
/// 0x03000  page tables for the first 4 GiB: PML4, PDPT, four page directories
/// 0x09000  free
/// 0x9fc00  reserved in the memory map, up to 1 MiB: where a PC has its EBDA, video memory and ROMs
/// 0xe0000  ACPI tables: the RSDP is found here even by a guest that is not told where it is
/// 0xffff0  nine bytes that reset the machine (<see cref="ResetVector"/>)
/// 0x100000 free
/// </code>
/// A PVH guest touches one page of it, so that the least guest costs one page fault. Kernels may lie anywhere but in
/// [<see cref="BootAreaStart"/>, <see cref="BootAreaEnd"/>) and [<see cref="LegacyStart"/>, <see cref="LegacyEnd"/>).</remarks>
internal static class BootLayout
{
    /// <summary>First byte that the loader writes.</summary>
    internal const ulong BootAreaStart = 0x1000;

    /// <summary>PVH start info.</summary>
    internal const ulong StartInfo = 0x1000;

    /// <summary>List of modules: the initial RAM disk.</summary>
    internal const ulong ModuleList = 0x1040;

    /// <summary>PVH memory map.</summary>
    internal const ulong MemoryMap = 0x1080;

    /// <summary>Entries that fit between the memory map and the GDT.</summary>
    internal const int MemoryMapMax = 64;

    /// <summary>Segment descriptors of the Linux 64-bit boot protocol.</summary>
    internal const ulong Gdt = 0x1700;

    /// <summary>Command line with its NUL: half a page, which is all that Linux takes.</summary>
    internal const ulong CommandLine = 0x1800;

    /// <summary>Linux boot_params.</summary>
    internal const ulong ZeroPage = 0x2000;

    /// <summary>Top of the identity page tables.</summary>
    internal const ulong PageTables = 0x3000;

    /// <summary>First byte behind what the loader writes.</summary>
    internal const ulong BootAreaEnd = 0x9000;

    /// <summary>Reserved in the memory map from here to <see cref="LegacyEnd"/>.</summary>
    internal const ulong LegacyStart = 0x9fc00;

    /// <summary>Where memory goes on: 1 MiB.</summary>
    internal const ulong LegacyEnd = 0x100000;

    /// <summary>ACPI tables, the RSDP first.</summary>
    internal const ulong Acpi = 0xe0000;

    /// <summary>Bytes for ACPI tables.</summary>
    internal const ulong AcpiSize = X86Const.ResetVector - Acpi;

    /// <summary>The least memory that holds all this.</summary>
    internal const ulong MinMemory = 0x100000;
}
