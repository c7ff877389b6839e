namespace MicroVm.Devices;

/// <summary>A port that ends the machine with the byte that is written to it.</summary>
public sealed partial class ExitPort
{
    private readonly IPowerSink _power;

    internal ExitPort(IPowerSink power)
    {
        _power = power;
        Initialize();
    }

    private partial void WriteCode(byte value) => _power.OnPower(PowerEvent.Exit, value);
}
