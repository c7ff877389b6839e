using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>Header of an ordinary function: identity, command, BARs.</summary>
public sealed partial class PciHeader0 : IPciHeader
{
    private readonly PciIdentity _identity;
    private readonly uint[] _barMask = new uint[PciConst.Bars], _barFlags = new uint[PciConst.Bars];
    private readonly bool[] _noAddress = new bool[PciConst.Bars];
    private byte _firstCapability;
    private bool _multiFunction, _changed;
    private volatile bool _pending;

    internal PciHeader0(in PciIdentity identity, ResidentPage page)
    {
        _identity = identity;
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
        Array.Clear(_noAddress);
        ResetRegisters();
        _changed = true;
    }

    /// <summary>Command keeps the function from raising its pin.</summary>
    internal bool LineIsOff => CommandInterruptDisable;

    /// <summary>Whether the pin has a cause. Set from any thread, one at a time, and again after each write of the guest, which stores the whole page anew.</summary>
    internal bool Pending
    {
        set
        {
            _pending = value;
            _page.Store(StatusOffset, ReadStatus());
        }
    }

    /// <summary>This is function 0, and its device has others: the guest looks for them.</summary>
    internal void ShowOthers()
    {
        _multiFunction = true;
        PublishResident();
    }

    /// <summary>Declares a BAR; the guest then reads its size and kind.</summary>
    internal void Describe(PciBar bar)
    {
        ulong mask = ~(bar.Size - 1);
        uint flags = (bar.Is64 ? (uint)PciBarBits.Is64 : 0) | (bar.Prefetchable ? (uint)PciBarBits.Prefetchable : 0);
        (_barMask[bar.Index], _barFlags[bar.Index]) = ((uint)mask & ~(uint)PciConst.BarFlags, flags);
        if (bar.Is64) _barMask[bar.Index + 1] = (uint)(mask >> 32);
        PublishResident();
    }

    /// <summary>Where the BAR's registers say that it is, or null while one of them was last written with the ones that ask for its size, or in part.</summary>
    internal ulong? Programmed(PciBar bar)
    {
        uint low = _r.Bar[bar.Index];
        if (_noAddress[bar.Index]) return null;
        if (!bar.Is64) return low;
        return _noAddress[bar.Index + 1] ? null : low | ((ulong)_r.Bar[bar.Index + 1] << 32);
    }

    /// <summary>Puts a BAR somewhere, as firmware does.</summary>
    internal void Program(PciBar bar, ulong address)
    {
        _r.Bar[bar.Index] = (uint)address;
        if (bar.Is64) _r.Bar[bar.Index + 1] = (uint)(address >> 32);
        Array.Clear(_noAddress, bar.Index, bar.Is64 ? 2 : 1);
        _changed = true;
        PublishResident();
    }

    private partial uint WriteBar(int index, uint old, uint value)
    {
        uint stored = value & _barMask[index];
        bool sizing = (value | (uint)PciConst.BarFlags) == uint.MaxValue;
        _changed |= stored != old || sizing != _noAddress[index];
        _noAddress[index] = sizing;
        return stored;
    }

    /// <summary>A register of a BAR was written in part: what it holds is no address until it is written whole.</summary>
    internal void WrittenInPart(int index) => _noAddress[index] = _changed = true;

    private partial uint ReadBar(int index) => _r.Bar[index] | _barFlags[index];

    private partial ushort WriteCommand(ushort old, ushort value)
    {
        _changed |= ((old ^ value) & (Bits.CommandMemorySpace | Bits.CommandBusMaster)) != 0;
        return value;
    }

    private static uint StatusOffset { get; } = Array.Find(Catalog.Registers, static r => r.Name == "Status")!.Offset;

    private partial ushort ReadStatus() => (ushort)(Bits.StatusCapabilities | (_pending ? Bits.StatusInterrupt : 0));

    private partial ushort ReadVendorId() => _identity.Vendor;

    private partial ushort ReadDeviceId() => _identity.Device;

    private partial byte ReadRevision() => _identity.Revision;

    private partial byte ReadInterface() => (byte)_identity.Class;

    private partial byte ReadSubClass() => (byte)(_identity.Class >> 8);

    private partial byte ReadBaseClass() => (byte)(_identity.Class >> 16);

    private partial byte ReadHeaderType() => _multiFunction ? (byte)PciConst.MultiFunction : (byte)0;

    private partial ushort ReadSubsystemVendorId() => _identity.SubsystemVendor;

    private partial ushort ReadSubsystemId() => _identity.Subsystem;

    private partial byte ReadCapabilityPointer() => _firstCapability;

    private partial byte ReadInterruptPin() => _identity.InterruptPin;
}
