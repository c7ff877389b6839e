using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>MSI with one message and an address of 64 bits, over an irqfd like MSI-X.</summary>
public sealed partial class PciMsiCap : IPciCapability, IDisposable
{
    private readonly InterruptRouter _router;
    private readonly InterruptLine _line;
    private readonly byte _next;
    private bool _busMaster;

    internal PciMsiCap(InterruptRouter router, in CapabilityPlace place)
    {
        _router = router;
        _line = router.Allocate();
        _next = place.Next;
        Initialize(place.Page);
    }

    /// <summary>The event that becomes the message.</summary>
    internal InterruptLine Line => _line;

    /// <summary>MSI is switched on: interrupts go this way and not over INTx.</summary>
    internal bool Enabled => ControlEnable;

    void IPciCapability.Reset()
    {
        ResetRegisters();
        Apply();
        _line.Event.Drain();
    }

    /// <summary>The function's bus master switch: messages are writes to memory.</summary>
    internal void SwitchBusMaster(bool on)
    {
        if (_busMaster == on) return;
        _busMaster = on;
        Apply();
    }

    public void Dispose() => _router.Release(_line);

    private void Apply()
    {
        _router.Set(_line.Gsi, new MsiMessage(_r.Address, _r.Data), !ControlEnable || !_busMaster);
        _router.Flush();
    }

    private partial byte ReadNext() => _next;

    private partial void ControlChanged(ushort value) => Apply();

    private partial void AddressChanged(ulong value) => Apply();

    private partial void DataChanged(ushort value) => Apply();
}
