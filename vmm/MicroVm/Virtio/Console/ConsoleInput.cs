using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>Bytes from the host that wait for the guest; bounded. While it is full, or the guest gives no buffers, nothing more is read from the host.</summary>
/// <remarks>Lock order: the ring's lock is the innermost.</remarks>
internal sealed class ConsoleInput : IInputSink, IDisposable
{
    private const int Capacity = 4096;

    private readonly Lock _lock = new();
    private readonly byte[] _ring = new byte[Capacity];
    private int _head, _count;
    private bool _refused;

    /// <summary>Signalled when bytes have arrived.</summary>
    internal EventFd Arrived { get; } = new();

    /// <summary>Told when there is room again.</summary>
    internal InputPump? Pump { private get; set; }

    internal bool IsEmpty
    {
        get { lock (_lock) return _count == 0; }
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

    /// <summary>Moves bytes into a chain; answers how many.</summary>
    internal uint MoveTo(ref Segments into)
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
        if (resume) Pump?.Resume();
        return moved;
    }

    public void Dispose() => Arrived.Dispose();
}
