namespace MicroVm.Devices;

/// <summary>Power-off and reset of a hardware-reduced machine.</summary>
public sealed partial class AcpiSleep
{
    private const int SleepTypeShift = 2;

    private readonly IPowerSink _power;

    internal AcpiSleep(IPowerSink power)
    {
        _power = power;
        Initialize();
    }

    private partial void WriteSleepControl(byte value)
    {
        bool softOff = (value & Bits.SleepControlSleepType) >> SleepTypeShift == AcpiSleepConst.SoftOffType;
        if (softOff && (value & Bits.SleepControlSleepEnable) != 0) _power.OnPower(PowerEvent.PowerOff, 0);
    }

    private partial void WriteReset(byte value)
    {
        if (value == AcpiSleepConst.ResetValue) _power.OnPower(PowerEvent.Reset, 0);
    }
}
