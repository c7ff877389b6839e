using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>What waits to be written into a receive queue.</summary>
internal interface IWaiting
{
    /// <summary>Signalled when there is something.</summary>
    EventFd Arrived { get; }

    /// <summary>Nothing waits, or nothing may go.</summary>
    bool IsEmpty { get; }

    /// <summary>Moves some of it into a chain; answers how many bytes.</summary>
    uint MoveTo(ref Segments into);
}

/// <summary>Bytes from the host that wait for the guest; bounded. While it is full, or the guest gives no buffers, nothing more is read from the host.</summary>
/// <param name="held">They wait until the guest has opened its end: a driver throws away what comes before (Linux).</param>
/// <remarks>Lock order: the ring's lock is the innermost.</remarks>
internal sealed class ConsoleInput(bool held = false) : IInputSink, IWaiting, IDisposable
{
    private const int Capacity = 4096;

    private readonly Lock _lock = new();
    private readonly byte[] _ring = new byte[Capacity];
    private int _head, _count;
    private bool _refused;
    private volatile bool _open = !held;

    /// <inheritdoc/>
    public EventFd Arrived { get; } = new();

    /// <summary>Told when there is room again.</summary>
    internal IInputSource? Source { private get; set; }

    /// <inheritdoc/>
    public bool IsEmpty
    {
        get { lock (_lock) return _count == 0 || !_open; }
    }

    /// <summary>The guest opened or closed its end.</summary>
    internal void SetOpen(bool open)
    {
        _open = open || !held;
        if (open) Arrived.Signal();
    }

    public int Receive(ReadOnlySpan<byte> bytes)
    {
        int taken;
        lock (_lock)
        {
            taken = Math.Min(bytes.Length, Capacity - _count);
            for (int i = 0; i < taken; i++) _ring[(_head + _count + i) & (Capacity - 1)] = bytes[i];
            _count += taken;
            _refused = taken < bytes.Length;
        }
        if (taken > 0) Arrived.Signal();
        return taken;
    }

    /// <inheritdoc/>
    public uint MoveTo(ref Segments into)
    {
        uint moved = 0;
        bool resume;
        lock (_lock)
        {
            while (_count > 0)
            {
                ReadOnlySpan<byte> part = _ring.AsSpan(_head, Math.Min(_count, Capacity - _head));
                uint n = into.Fill(part);
                if (n == 0) break;
                moved += n;
                _head = (_head + (int)n) & (Capacity - 1);
                _count -= (int)n;
            }
            resume = _refused && _count == 0;
            if (resume) _refused = false;
        }
        if (resume) Source?.Resume();
        return moved;
    }

    public void Dispose() => Arrived.Dispose();
}
