using MicroVm.Events;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a console: the terminal's size. It can write a character before it has queues.</summary>
public sealed partial class VirtioConsoleConfig
{
    private readonly OutputPump? _output;
    // Columns low, rows high: one word, so that a reader never sees half of a change.
    private uint _size;

    /// <summary>Says the size at first and where early characters go.</summary>
    internal VirtioConsoleConfig(ushort columns, ushort rows, OutputPump? output)
    {
        _output = output;
        SetSize(columns, rows);
        Initialize();
    }

    internal void SetSize(ushort columns, ushort rows) => Volatile.Write(ref _size, columns | ((uint)rows << 16));

    private partial ushort ReadColumns() => (ushort)Volatile.Read(ref _size);

    private partial ushort ReadRows() => (ushort)(Volatile.Read(ref _size) >> 16);

    private partial void WriteEmergency(uint value) => _output?.Write((byte)value);
}
