using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>The capability that switches a function's MSI-X on. The table behind it is <see cref="MsixTable"/>.</summary>
public sealed partial class PciMsixCap : IPciCapability
{
    private readonly MsixTable _table;
    private readonly uint _tableAt, _pbaAt;
    private readonly byte _next;

    /// <param name="table">The table.</param>
    /// <param name="tableAt">Its offset in the BAR, with the BAR's number in bits 0-2.</param>
    /// <param name="pbaAt">The same of the pending bits.</param>
    /// <param name="place">Where the guest reads it.</param>
    internal PciMsixCap(MsixTable table, uint tableAt, uint pbaAt, in CapabilityPlace place)
    {
        (_table, _tableAt, _pbaAt) = (table, tableAt, pbaAt);
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset()
    {
        ResetRegisters();
        _table.Reset();
    }

    private partial ushort WriteControl(ushort old, ushort value)
    {
        if (old != value) _table.Switch((value & Bits.ControlEnable) != 0, (value & Bits.ControlFunctionMask) != 0);
        return value;
    }

    private partial ushort ReadControl() => (ushort)(_r.Control | (_table.Count - 1));

    private partial byte ReadNext() => _next;

    private partial uint ReadTable() => _tableAt;

    private partial uint ReadPba() => _pbaAt;
}
