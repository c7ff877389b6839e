using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>PCI Express capability of an endpoint or a root port.</summary>
public sealed partial class PciExpressCap : IPciCapability
{
    private readonly PciExpressType _type;
    private readonly byte _slot;
    private readonly byte _next;
    private bool _occupied;

    /// <param name="type">What the function is.</param>
    /// <param name="slot">Number of a root port's slot, 0 for an endpoint.</param>
    /// <param name="place">Where the guest reads it.</param>
    internal PciExpressCap(PciExpressType type, byte slot, in CapabilityPlace place)
    {
        (_type, _slot) = (type, slot);
        _next = place.Next;
        Initialize(place.Page);
    }

    internal bool Occupied
    {
        set
        {
            _occupied = value;
            PublishResident();
        }
    }

    void IPciCapability.Reset() => ResetRegisters();

    private bool IsPort => _type == PciExpressType.RootPort;

    private partial byte ReadNext() => _next;

    private partial ushort ReadCapabilities() => (ushort)(PciExpressConst.Version | (int)_type << PciExpressConst.TypeShift | (IsPort ? PciExpressConst.SlotImplemented : 0));

    // An integrated endpoint has no link (7.5.3.2).
    private partial uint ReadLinkCaps() => _type == PciExpressType.IntegratedEndpoint ? 0 :
        (uint)(PciExpressConst.Link | (IsPort ? _slot << PciExpressConst.LinkPortShift | PciExpressConst.LinkActiveCapable : 0));

    private partial ushort ReadLinkStatus() => _type == PciExpressType.IntegratedEndpoint ? (ushort)0 :
        (ushort)(PciExpressConst.Link | (IsPort && _occupied ? PciExpressConst.LinkActive : 0));

    private partial uint ReadSlotCaps() => IsPort ? (uint)(PciExpressConst.SlotHotPlug | _slot << PciExpressConst.SlotNumberShift) : 0;

    private partial ushort ReadSlotStatus() => IsPort && _occupied ? (ushort)PciExpressConst.SlotPresent : (ushort)0;
}
