using MicroVm.Devices;

namespace MicroVm.Boot;

/// <summary>How a kernel is entered.</summary>
internal enum BootMode : uint
{
    /// <summary>PVH: 32-bit protected mode, flat segments, no paging, EBX = start info.</summary>
    Pvh32 = 1,

    /// <summary>Linux 64-bit boot protocol: long mode, identity pages, RSI = zero page.</summary>
    Linux64 = 2,

    /// <summary>Linux 32-bit boot protocol: protected mode, flat segments, no paging, ESI = zero page.</summary>
    Linux32 = 3,
}

/// <summary>A segment register with its hidden part, in the terms of KVM's <c>kvm_segment</c>.</summary>
/// <param name="Selector">Visible part.</param>
/// <param name="Limit">Last offset, in bytes.</param>
/// <param name="Type">Type of the descriptor.</param>
/// <param name="System">A system segment (the S bit is then 0).</param>
/// <param name="Long">64-bit code.</param>
/// <param name="Wide">32-bit operands (D/B).</param>
/// <param name="Granular">The limit counts pages (G).</param>
internal readonly record struct SegmentState(ushort Selector, uint Limit, SegmentType Type, bool System, bool Long, bool Wide, bool Granular);

/// <summary>The registers with which vCPU 0 enters the guest; what is not named is zero. Segment bases are zero, every segment is present, at privilege 0.</summary>
/// <param name="Mode">How the kernel is entered.</param>
/// <param name="InstructionPointer">RIP.</param>
/// <param name="Rbx">PVH: address of the start info.</param>
/// <param name="Rsi">Linux32 and Linux64: address of the zero page.</param>
/// <param name="Cr0">CR0.</param>
/// <param name="Cr3">Top of the page tables, zero without paging.</param>
/// <param name="Cr4">CR4.</param>
/// <param name="Efer">EFER.</param>
/// <param name="GdtBase">Address of the GDT, zero for none.</param>
/// <param name="GdtLimit">Its last offset.</param>
/// <param name="Code">CS.</param>
/// <param name="Data">DS, ES, FS, GS and SS.</param>
/// <param name="Task">TR, which VMX wants busy.</param>
internal readonly record struct BootState(
    BootMode Mode, ulong InstructionPointer, ulong Rbx, ulong Rsi, Cr0 Cr0, ulong Cr3, Cr4 Cr4, Efer Efer,
    ulong GdtBase, ushort GdtLimit, SegmentState Code, SegmentState Data, SegmentState Task)
{
    /// <summary>RFLAGS at entry: interrupts off.</summary>
    internal const ulong Flags = X86Const.FlagsReserved;

    /// <summary>State for a PVH entry.</summary>
    internal static BootState Pvh(ulong entry) => new(
        BootMode.Pvh32, entry, BootLayout.StartInfo, 0, Cr0.ProtectionEnable | Cr0.ExtensionType, 0, 0, 0, 0, 0,
        Flat(SegmentType.CodeAccessed, isLong: false), Flat(SegmentType.DataAccessed, isLong: false), TaskSegment);

    /// <summary>State for the 64-bit entry of Linux.</summary>
    internal static BootState Linux(ulong entry) => new(
        BootMode.Linux64, entry, 0, BootLayout.ZeroPage, Cr0.ProtectionEnable | Cr0.ExtensionType | Cr0.Paging, BootLayout.PageTables,
        Cr4.PhysicalAddressExtension, Efer.LongModeEnable | Efer.LongModeActive, BootLayout.Gdt, LinuxBoot.GdtBytes - 1,
        Flat(SegmentType.CodeAccessed, isLong: true), Flat(SegmentType.DataAccessed, isLong: false), TaskSegment);

    /// <summary>State for the 32-bit entry of Linux.</summary>
    internal static BootState Linux32(ulong entry) => Pvh(entry) with
    {
        Mode = BootMode.Linux32, Rbx = 0, Rsi = BootLayout.ZeroPage,
        GdtBase = BootLayout.Gdt, GdtLimit = LinuxBoot.GdtBytes - 1,
    };

    private static SegmentState TaskSegment =>
        new((ushort)LinuxBootConst.TaskSelector, (uint)X86Const.TaskLimit, SegmentType.CodeAccessed, System: true, Long: false, Wide: false, Granular: false);

    private static SegmentState Flat(SegmentType type, bool isLong) => new(
        (ushort)(type == SegmentType.CodeAccessed ? LinuxBootConst.CodeSelector : LinuxBootConst.DataSelector),
        (uint)X86Const.FlatLimit, type, System: false, isLong, Wide: !isLong, Granular: true);
}
