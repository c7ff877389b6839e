using MicroVm.Kvm;

namespace MicroVm.Vfio;

/// <summary>A device as VFIO gives it: <see cref="VfioDeviceFile"/>, or one made of bytes in tests. Answers error numbers, never throws: a device can go away at any time.</summary>
internal interface IVfioDevice : IDisposable
{
    /// <summary>It can be reset on its own.</summary>
    bool CanReset { get; }

    /// <summary>Resets it; 0 or the error number.</summary>
    int Reset();

    /// <summary>A region; of length 0 if it has none of that number.</summary>
    VfioRegion Region(uint index);

    /// <summary>Reads 1, 2, 4 or 8 bytes of a region; false if the device does not answer.</summary>
    bool TryRead(VfioRegion region, ulong offset, int width, out ulong value);

    /// <summary>Writes 1, 2, 4 or 8 bytes of a region; false if the device does not take them.</summary>
    bool TryWrite(VfioRegion region, ulong offset, int width, ulong value);

    /// <summary>Maps a part of a region into this process for as long as this object lives; 0 if the host refuses.</summary>
    nint Map(VfioRegion region, ulong offset, ulong length);

    /// <summary>Interrupts of a kind, 0 if the device has none; <paramref name="fixedSize"/>: changing how many are used means starting again.</summary>
    uint InterruptCount(VfioAbi.IrqIndex index, out bool fixedSize);

    /// <summary>Connects interrupts to events, -1 for none; 0 or the error number.</summary>
    /// <param name="index">Kind.</param>
    /// <param name="start">First interrupt.</param>
    /// <param name="events">Descriptors of the events, one for each interrupt from <paramref name="start"/> on.</param>
    int Connect(VfioAbi.IrqIndex index, uint start, ReadOnlySpan<int> events);

    /// <summary>Switches a kind of interrupt off; 0 or the error number.</summary>
    int Disconnect(VfioAbi.IrqIndex index);

    /// <summary>Lets a line that VFIO masked when it fired fire again; 0 or the error number.</summary>
    int Unmask(VfioAbi.IrqIndex index);
}
