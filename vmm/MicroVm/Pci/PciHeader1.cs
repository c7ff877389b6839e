using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>Header of a bridge: the bus below, and the windows of memory that lead to it.</summary>
public sealed partial class PciHeader1 : IPciHeader
{
    private const int MebibyteShift = 16;

    private readonly PciIdentity _identity;
    private readonly byte _bus, _secondary;
    private readonly Action _resetBelow;
    private byte _firstCapability;
    private bool _changed;

    internal PciHeader1(in PciIdentity identity, byte bus, byte secondary, Action resetBelow, ResidentPage page)
    {
        _identity = identity;
        (_bus, _secondary, _resetBelow) = (bus, secondary, resetBelow);
        Initialize(page);
    }

    byte IPciHeader.FirstCapability
    {
        set
        {
            _firstCapability = value;
            PublishResident();
        }
    }

    bool IPciHeader.MemoryEnabled => CommandMemorySpace;

    bool IPciHeader.BusMaster => CommandBusMaster;

    bool IPciHeader.TakeChanged()
    {
        bool changed = _changed;
        _changed = false;
        return changed;
    }

    void IPciHeader.Reset()
    {
        ResetRegisters();
        _changed = true;
    }

    /// <summary>Whether a range lies in one of the windows.</summary>
    internal bool Forwards(ulong start, ulong length)
    {
        ulong last = start + length - 1;
        (ulong low, ulong lowLast) = Low;
        (ulong high, ulong highLast) = High;
        return (start >= low && last <= lowLast) || (start >= high && last <= highLast);
    }

    /// <summary>The windows as text, first and last address of each.</summary>
    internal string Windows => $"{Text(Low)} {Text(High)}";

    private (ulong First, ulong Last) Low => ((ulong)Mebibytes(_r.MemoryBase) << MebibyteShift, ((ulong)Mebibytes(_r.MemoryLimit) << MebibyteShift) | 0xf_ffff);

    private (ulong First, ulong Last) High => (
        ((ulong)_r.PrefetchBaseHigh << 32) | ((ulong)Mebibytes(_r.PrefetchBase) << MebibyteShift),
        ((ulong)_r.PrefetchLimitHigh << 32) | ((ulong)Mebibytes(_r.PrefetchLimit) << MebibyteShift) | 0xf_ffff);

    private static string Text((ulong First, ulong Last) window) => window.First > window.Last ? "closed" : $"0x{window.First:x}-0x{window.Last:x}";

    /// <summary>Sets the windows, as firmware does. A length of 0 closes one.</summary>
    internal void Program(ulong low, ulong lowLength, ulong high, ulong highLength)
    {
        ulong lowLast = low + lowLength - 1, highLast = high + highLength - 1;
        if (lowLength == 0) (low, lowLast) = (0xfff0_0000, 0);
        if (highLength == 0) (high, highLast) = (0xfff0_0000, 0);
        _r.MemoryBase = (ushort)(low >> MebibyteShift);
        _r.MemoryLimit = (ushort)Mebibytes((ushort)(lowLast >> MebibyteShift));
        _r.PrefetchBase = (ushort)(Mebibytes((ushort)(high >> MebibyteShift)) | 1u);
        _r.PrefetchLimit = (ushort)(Mebibytes((ushort)(highLast >> MebibyteShift)) | 1u);
        (_r.PrefetchBaseHigh, _r.PrefetchLimitHigh) = ((uint)(high >> 32), (uint)(highLast >> 32));
        _changed = true;
        PublishResident();
    }

    private static uint Mebibytes(ushort register) => register & 0xfff0u;

    private partial void CommandChanged(ushort value) => _changed = true;

    private partial void WindowChanged(ushort value) => _changed = true;

    private partial void UpperChanged(uint value) => _changed = true;

    private partial void ControlChanged(ushort value)
    {
        if ((value & Bits.BridgeControlSecondaryReset) != 0) _resetBelow();
    }

    private partial byte ReadPrimaryBus() => _bus;

    private partial byte ReadSecondaryBus() => _secondary;

    private partial ushort ReadVendorId() => _identity.Vendor;

    private partial ushort ReadDeviceId() => _identity.Device;

    private partial byte ReadRevision() => _identity.Revision;

    private partial byte ReadHeaderType() => (byte)PciConst.HeaderBridge;

    private partial byte ReadCapabilityPointer() => _firstCapability;

    private partial byte ReadInterruptPin() => _identity.InterruptPin;
}
