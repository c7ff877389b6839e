using MicroVm.Events;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a console: the terminal's size and how many ports there are. It can write a character before it has queues.</summary>
public sealed partial class VirtioConsoleConfig
{
    private readonly IOutputSink? _output;
    private readonly uint _ports;
    // Columns low, rows high: one word, so that a reader never sees half of a change.
    private uint _size;

    /// <summary>Says the size at first and where early characters go.</summary>
    internal VirtioConsoleConfig(ushort columns, ushort rows, uint ports, IOutputSink? output)
    {
        (_output, _ports) = (output, ports);
        SetSize(columns, rows);
        Initialize();
    }

    internal void SetSize(ushort columns, ushort rows) => Volatile.Write(ref _size, columns | ((uint)rows << 16));

    private partial ushort ReadColumns() => (ushort)Volatile.Read(ref _size);

    private partial ushort ReadRows() => (ushort)(Volatile.Read(ref _size) >> 16);

    private partial uint ReadMaxPorts() => _ports;

    private partial void WriteEmergency(uint value) => _output?.Write([(byte)value]);
}
