using MicroVm.Interrupts;

namespace MicroVm.Devices;

/// <summary>The I/O APIC: 82093AA registers in front of the <see cref="InterruptRouter"/>. Every pin is a message route, so every line is an irqfd.</summary>
public sealed partial class IoApic
{
    private const uint VersionWithEoi = 0x20;

    private readonly InterruptRouter _router;
    private readonly int _pins;

    /// <param name="router">Takes the route of each pin.</param>
    /// <param name="pins">Pins, 1 to 24. The guest programs each one, at about 26 exits: no more than are used.</param>
    internal IoApic(InterruptRouter router, int pins)
    {
        _router = router;
        _pins = pins;
        Initialize();
    }

    private partial uint ReadVersion() => VersionWithEoi | (uint)(_pins - 1) << 16;

    private partial uint ReadArbitration() => _r.Id;

    private partial uint WriteLow(int index, uint old, uint value)
    {
        if (index < _pins) Route(index, value, _r.RedirectionHigh[index]);
        return value;
    }

    private partial uint WriteHigh(int index, uint old, uint value)
    {
        if (index < _pins) Route(index, _r.RedirectionLow[index], value);
        return value;
    }

    private bool _used;

    /// <summary>A pin was unmasked, and now all are masked: Linux leaves it so when it shuts its devices down before a
    /// restart (<c>clear_IO_APIC</c>), and not when it panics.</summary>
    internal bool IsShutDown
    {
        get
        {
            lock (Gate)
            {
                if (!_used) return false;
                for (int pin = 0; pin < _pins; pin++)
                {
                    if ((_r.RedirectionLow[pin] & Bits.RedirectionLowMasked) == 0) return false;
                }
                return true;
            }
        }
    }

    /// <summary>Told when the guest ends an interrupt of a level-triggered pin, on the vCPU that ended it, and when it changed such a pin; set before the guest runs.</summary>
    internal Action<int>? LevelEnded { private get; set; }

    // The remote IRR stays clear: a level here is an event that its source masks until it hears of the end (docs/decisions/0046).
    private partial void EndOfInterrupt(uint value)
    {
        if (LevelEnded is null) return;
        for (int pin = 0; pin < _pins; pin++)
        {
            uint entry = _r.RedirectionLow[pin];
            if ((entry & Bits.RedirectionLowLevelTriggered) != 0 && (entry & Bits.RedirectionLowVector) == (value & Bits.RedirectionLowVector)) LevelEnded(pin);
        }
    }

    /// <summary>KVM saw the local APIC end a level-triggered vector of this controller.</summary>
    internal void EndOfInterruptFor(byte vector) => EndOfInterrupt(vector);

    // An interrupt on its way by the old vector ends by it too, and KVM knows the old vector no more: its end would never be heard. So the sources of a level look again after each change.
    private void Route(int pin, uint low, uint high)
    {
        bool masked = (low & Bits.RedirectionLowMasked) != 0;
        _used |= !masked;
        _router.Set((uint)pin, Message(low, high), masked);
        _router.Flush();
        if (!masked && (low & Bits.RedirectionLowLevelTriggered) != 0) LevelEnded?.Invoke(pin);
    }

    /// <summary>A redirection entry as the message that the I/O APIC sends for it (82093AA 3.2.4, SDM 3A 11.11).</summary>
    internal static MsiMessage Message(uint low, uint high)
    {
        ulong address = MsiConst.AddressBase | high >> 24 << (int)MsiConst.DestinationShift;
        if ((low & Bits.RedirectionLowDestinationMode) != 0) address |= MsiConst.DestinationModeLogical;
        uint data = low & (Bits.RedirectionLowVector | Bits.RedirectionLowDeliveryMode) | (uint)MsiConst.AssertLevel;
        if ((low & Bits.RedirectionLowLevelTriggered) != 0) data |= (uint)MsiConst.TriggerLevel;
        return new MsiMessage(address, data);
    }
}
