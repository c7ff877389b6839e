using BenchmarkDotNet.Attributes;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Interrupts;

namespace Dispatch.Bench;

/// <summary>The 16550 two ways; no byte is transmitted, for that costs what the console costs.</summary>
public class UartDispatch
{
    internal const int Count = 10;

    private static readonly Access[] s_setUp =
    [
        Access.Write(3, 0x83), Access.Write(0, 1), Access.Write(1, 0), Access.Write(3, 0x03), Access.Write(4, 0x03),
        Access.Read(5), Access.Read(6), Access.Write(7, 0x5a), Access.Read(7), Access.Read(3),
    ];

    private readonly Uart16550 _generated = new(new InterruptLine(4), new OutputPump(-1, "bench"));
    private readonly HandWrittenUart _byHand = new();

    [Benchmark(OperationsPerInvoke = Count, Description = "generated")]
    public ulong Generated() => s_setUp.Play(_generated, 1);

    [Benchmark(OperationsPerInvoke = Count, Baseline = true, Description = "switch by hand")]
    public ulong ByHand() => s_setUp.Play(_byHand, 1);
}

/// <summary>A 16550 as one writes it by hand.</summary>
internal sealed class HandWrittenUart : IHandWritten
{
    private byte _interruptEnable, _lineControl, _modemControl, _scratch, _divisorLow = 0x0c, _divisorHigh;

    private bool Dlab => (_lineControl & 0x80) != 0;

    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        if (width != 1) return IoStatus.BadWidth;
        switch (offset)
        {
            case 0: value = Dlab ? _divisorLow : 0u; return IoStatus.Ok;
            case 1: value = Dlab ? _divisorHigh : _interruptEnable; return IoStatus.Ok;
            case 2: value = 1; return IoStatus.Ok;
            case 3: value = _lineControl; return IoStatus.Ok;
            case 4: value = _modemControl; return IoStatus.Ok;
            case 5: value = 0x60; return IoStatus.Ok;
            case 6: value = (_modemControl & 0x10) == 0 ? 0xb0 : ((_modemControl & 0x0cu) << 4) | ((_modemControl & 2u) << 3) | ((_modemControl & 1u) << 5); return IoStatus.Ok;
            case 7: value = _scratch; return IoStatus.Ok;
            default: return IoStatus.NoRegister;
        }
    }

    public IoStatus Write(uint offset, int width, ulong value)
    {
        if (width != 1) return IoStatus.BadWidth;
        byte v = (byte)value;
        switch (offset)
        {
            case 0: if (Dlab) _divisorLow = v; return IoStatus.Ok;
            case 1: if (Dlab) _divisorHigh = v; else _interruptEnable = (byte)(v & 0x0f); return IoStatus.Ok;
            case 2: return IoStatus.Ok;
            case 3: _lineControl = v; return IoStatus.Ok;
            case 4: _modemControl = (byte)(v & 0x1f); return IoStatus.Ok;
            case 5 or 6: return IoStatus.ReadOnly;
            case 7: _scratch = v; return IoStatus.Ok;
            default: return IoStatus.NoRegister;
        }
    }
}
