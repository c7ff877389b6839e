using MicroVm.Bus;
using MicroVm.Events;

namespace MicroVm.Pci;

/// <summary>A base address register and what stands behind it. Where it is in the guest, <see cref="PciRoot"/> decides.</summary>
internal sealed class PciBar
{
    /// <param name="index">First register, 0 to 5.</param>
    /// <param name="size">Bytes: a power of two, at least a page.</param>
    /// <param name="is64">Takes two registers and may stand above 4 GiB.</param>
    /// <param name="prefetchable">Reading has no effect that matters; behind a bridge only such a BAR can stand above 4 GiB.</param>
    /// <param name="regions">What stands where in it.</param>
    internal PciBar(int index, ulong size, bool is64, bool prefetchable, params BarRegion[] regions)
    {
        if (!ulong.IsPow2(size) || size < Memory.GuestMemory.PageSize) throw new ArgumentOutOfRangeException(nameof(size));
        (Index, Size, Is64, Prefetchable, Regions) = (index, size, is64, prefetchable, regions);
    }

    internal int Index { get; }
    internal ulong Size { get; }
    internal bool Is64 { get; }
    internal bool Prefetchable { get; }
    internal IReadOnlyList<BarRegion> Regions { get; }

    /// <summary>Where the guest finds it now, or null while it is not decoded.</summary>
    internal ulong? Address { get; set; }

    /// <summary>Memory slots that it has while it is mapped.</summary>
    internal List<uint> Slots { get; } = [];
}

/// <summary>A part of a BAR. Parts of different kinds may lie over each other: accesses that memory or a doorbell does not take reach the registers.</summary>
/// <param name="Offset">Bytes from the BAR's start.</param>
internal abstract record BarRegion(ulong Offset)
{
    /// <summary>Registers: the guest exits for them.</summary>
    internal sealed record Registers(ulong Offset, IRegisterBlock Block) : BarRegion(Offset);

    /// <summary>Memory that the guest reaches without an exit: resident registers, which it can only read, or a region of an assigned device, mapped from VFIO. Whole pages.</summary>
    internal sealed record Memory(ulong Offset, ulong Length, nint HostAddress, bool ReadOnly) : BarRegion(Offset);

    /// <summary>A write that KVM turns into an event.</summary>
    /// <param name="Offset">Bytes from the BAR's start.</param>
    /// <param name="Width">Bytes of the write, 0 for any.</param>
    /// <param name="Match">Only this value, or null for any.</param>
    /// <param name="Event">The event.</param>
    internal sealed record Doorbell(ulong Offset, uint Width, ulong? Match, EventFd Event) : BarRegion(Offset);
}
