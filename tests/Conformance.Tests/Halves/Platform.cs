namespace MicroVm.Devices;

// Test halves: each hook stores or gives something simple, so that what a test sees is what the generated half does.

public sealed partial class AcpiSleep
{
    internal AcpiSleep() => Initialize();

    internal byte LastSleepControl { get; private set; }

    internal byte LastReset { get; private set; }

    private partial void WriteSleepControl(byte value) => LastSleepControl = value;

    private partial void WriteReset(byte value) => LastReset = value;
}

public sealed partial class AcpiGed
{
    internal AcpiGed() => Initialize();

    internal uint Raise(uint bits) => RaiseSelector(bits);
}

public sealed partial class ExitPort
{
    internal ExitPort() => Initialize();

    internal byte LastCode { get; private set; }

    private partial void WriteCode(byte value) => LastCode = value;
}

public sealed partial class PvPanic
{
    internal PvPanic() => Initialize();

    internal byte LastTold { get; private set; }

    private partial void Told(byte value) => LastTold = value;
}

public sealed partial class Uart16550
{
    internal Uart16550() => Initialize();

    internal byte Received { get; set; }

    internal byte Sent { get; private set; }

    private partial byte TakeReceived()
    {
        byte value = Received;
        Received = 0;
        return value;
    }

    private partial void Transmit(byte value) => Sent = value;

    private partial void EnableChanged(byte value) => Sent ^= value;

    private partial byte TakeInterruptCause() => (byte)UartInterruptCause.None;

    private partial void WriteFifoControl(byte value) => Sent ^= value;

    private partial byte TakeLineStatus() => Bits.LineStatusTransmitEmpty | Bits.LineStatusTransmitterIdle;

    private partial byte ReadModemStatus() => (byte)(ModemControlLoopback ? ModemControlBits : 0xb0);

    private byte ModemControlBits => _r.ModemControl;
}

public sealed partial class IoApic
{
    internal IoApic() => Initialize();

    internal uint Ended { get; private set; }

    private partial uint ReadVersion() => 0x0017_0020;

    private partial uint ReadArbitration() => _r.Id;

    private partial uint WriteLow(int index, uint old, uint value) => value;

    private partial uint WriteHigh(int index, uint old, uint value) => value;

    private partial void EndOfInterrupt(uint value) => Ended = value;
}
