namespace MicroVm.Devices;

/// <summary>The guest's driver tells here that its kernel panicked.</summary>
public sealed partial class PvPanic
{
    private readonly IPowerSink _power;

    internal PvPanic(IPowerSink power)
    {
        _power = power;
        Initialize();
    }

    // CrashLoaded alone means that a crash kernel takes over: the machine goes on.
    private partial void Told(byte value)
    {
        if ((value & Bits.EventsPanicked) != 0) _power.OnPower(PowerEvent.Panic, 0);
    }
}
