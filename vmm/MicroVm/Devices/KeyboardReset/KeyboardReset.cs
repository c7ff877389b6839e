namespace MicroVm.Devices;

/// <summary>The keyboard controller's one command that a guest without a keyboard needs: Linux's <c>reboot=k</c>, which
/// stands in many start scripts of microVMs.</summary>
public sealed partial class KeyboardReset
{
    private readonly IPowerSink _power;

    internal KeyboardReset(IPowerSink power)
    {
        _power = power;
        Initialize();
    }

    private partial void WriteCommand(byte value)
    {
        if (value == KeyboardResetConst.PulseReset) _power.OnPower(PowerEvent.Reset, 0);
    }
}
