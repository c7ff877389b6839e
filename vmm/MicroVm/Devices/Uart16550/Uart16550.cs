using MicroVm.Events;
using MicroVm.Interrupts;

namespace MicroVm.Devices;

/// <summary>A 16550A whose transmitter is always ready: output goes to a bounded pump that drops rather than waits, input comes from a bounded FIFO.</summary>
/// <remarks>Transmission takes no time, so the "transmitter empty" interrupt is pending from the write on. The line is an edge:
/// it is raised whenever the highest pending cause appears anew.</remarks>
public sealed partial class Uart16550 : IInputSink
{
    private const int FifoSize = 64;

    private readonly InterruptLine _line;
    private readonly IOutputSink _output;
    private readonly byte[] _received = new byte[FifoSize];
    private int _head, _count;
    private bool _transmitEmptyPending, _overrun, _fifosEnabled;
    private bool _inputWaits;

    /// <param name="line">Interrupt.</param>
    /// <param name="output">Where transmitted bytes go.</param>
    internal Uart16550(InterruptLine line, IOutputSink output)
    {
        _line = line;
        _output = output;
        Initialize();
    }

    /// <summary>Resumed when the guest has read input that there was no room behind.</summary>
    internal IInputSource? Input { private get; set; }

    /// <inheritdoc/>
    int IInputSink.Receive(ReadOnlySpan<byte> bytes)
    {
        lock (Gate)
        {
            int taken = 0;
            for (; taken < bytes.Length && _count < FifoSize; taken++) Push(bytes[taken]);
            _inputWaits = taken < bytes.Length;
            if (taken > 0 && InterruptEnableEnableReceived) _line.Raise();
            return taken;
        }
    }

    private void Push(byte value)
    {
        _received[(_head + _count) % FifoSize] = value;
        _count++;
    }

    private partial byte TakeReceived()
    {
        if (_count == 0) return 0;
        byte value = _received[_head];
        _head = (_head + 1) % FifoSize;
        if (--_count == 0 && _inputWaits)
        {
            _inputWaits = false;
            Input?.Resume();
        }
        return value;
    }

    private partial void Transmit(byte value)
    {
        if (ModemControlLoopback)
        {
            if (_count < FifoSize) Push(value);
            else _overrun = true;
            if (InterruptEnableEnableReceived) _line.Raise();
        }
        else
        {
            _output.Write([value]);
        }
        TransmitterEmptied();
    }

    private partial void EnableChanged(byte value)
    {
        if (InterruptEnableEnableTransmitEmpty) TransmitterEmptied();
        if (InterruptEnableEnableReceived && _count > 0) _line.Raise();
    }

    private void TransmitterEmptied()
    {
        _transmitEmptyPending = true;
        if (InterruptEnableEnableTransmitEmpty) _line.Raise();
    }

    private partial byte TakeInterruptCause()
    {
        byte fifos = _fifosEnabled ? (byte)UartInterruptCause.FifosEnabled : (byte)0;
        return (byte)(fifos | (byte)PendingCause());
    }

    private UartInterruptCause PendingCause()
    {
        if (_overrun && InterruptEnableEnableLineStatus) return UartInterruptCause.LineStatus;
        if (_count > 0 && InterruptEnableEnableReceived) return UartInterruptCause.ReceivedData;
        if (!_transmitEmptyPending || !InterruptEnableEnableTransmitEmpty) return UartInterruptCause.None;
        _transmitEmptyPending = false;
        return UartInterruptCause.TransmitEmpty;
    }

    private partial void WriteFifoControl(byte value)
    {
        _fifosEnabled = (value & Bits.FifoControlFifoEnable) != 0;
        if ((value & Bits.FifoControlClearReceive) != 0) (_head, _count) = (0, 0);
    }

    private partial byte TakeLineStatus()
    {
        byte status = (byte)(Bits.LineStatusTransmitEmpty | Bits.LineStatusTransmitterIdle);
        if (_count > 0) status |= (byte)Bits.LineStatusDataReady;
        if (_overrun) status |= (byte)Bits.LineStatusOverrun;
        _overrun = false;
        return status;
    }

    // PC16550D 8.6: in loopback the inputs are the outputs: CTS=RTS, DSR=DTR, RI=OUT1, DCD=OUT2.
    private partial byte ReadModemStatus()
    {
        if (!ModemControlLoopback) return (byte)(Bits.ModemStatusClearToSend | Bits.ModemStatusDataSetReady | Bits.ModemStatusCarrierDetect);
        uint status = 0;
        if (ModemControlRts) status |= Bits.ModemStatusClearToSend;
        if (ModemControlDtr) status |= Bits.ModemStatusDataSetReady;
        if (ModemControlOut1) status |= Bits.ModemStatusRingIndicator;
        if (ModemControlOut2) status |= Bits.ModemStatusCarrierDetect;
        return (byte)status;
    }
}
