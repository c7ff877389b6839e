using MicroVm.Kvm;

namespace MicroVm.Events;

/// <summary>Takes output of the guest and never waits for its reader.</summary>
internal interface IOutputSink
{
    /// <summary>Takes all of the bytes, or drops some and counts them. From any thread.</summary>
    void Write(ReadOnlySpan<byte> bytes);

    /// <summary>Waits until everything written so far is out; false if the reader has gone or did not take it in time.</summary>
    bool TryFlush(TimeSpan timeout);
}

/// <summary>Output of the guest on its way to a file descriptor of the host: a bounded ring and a thread that empties it.</summary>
/// <remarks>Writers are vCPU and device threads and never wait for the reader: when the ring is full its oldest bytes give way and are counted.
/// The descriptor may be a pipe, a terminal, a socket or a file, blocking or not; a reader that has gone (EPIPE, EIO) turns the pump into a counter.
/// The pump does not own the descriptor. Lock order: the ring's lock is the innermost of all.</remarks>
public sealed class OutputPump : IOutputSink, IDisposable
{
    /// <summary>One write; a pipe that polls writable takes this much without blocking (PIPE_BUF).</summary>
    private const int ChunkSize = 4096, StackSize = 128 << 10;
    /// <summary>How long a line that has not ended may gather before it is written, so that a serial port costs a write per line and not per byte.</summary>
    private const int GatherMilliseconds = 1;

    private readonly Lock _lock = new();
    private readonly EventFd _wake = new();
    private readonly byte[] _ring;
    private readonly byte[] _chunk = new byte[ChunkSize];
    private readonly int _fd;
    private readonly string _name;
    // Positions in the stream: bytes come in at head, the oldest in the ring is at tail, everything below done has left.
    private long _head, _tail, _taken, _done;
    private long _dropped;
    private Thread? _thread;
    private State _state = State.Idle;
    private volatile bool _stopping, _gone;

    private enum State { Idle, Gathering, Writing }

    /// <summary>Makes a pump; its thread starts with the first byte, and bytes for which the host gives none are dropped.</summary>
    /// <param name="fd">Where the bytes go; -1 throws them away.</param>
    /// <param name="name">Name of the thread.</param>
    /// <param name="capacity">Bytes of the ring, a power of two.</param>
    public OutputPump(int fd, string name, int capacity = 1 << 18)
    {
        if (!System.Numerics.BitOperations.IsPow2(capacity)) throw new ArgumentOutOfRangeException(nameof(capacity));
        _fd = fd;
        _name = name;
        _ring = new byte[capacity];
        _gone = fd < 0;
    }

    /// <summary>Bytes that never reached the reader.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    /// <summary>True once the reader has gone; from then on everything is dropped.</summary>
    public bool ReaderGone => _gone;

    /// <summary>Queues one byte.</summary>
    public void Write(byte value) => Write(new ReadOnlySpan<byte>(in value));

    /// <summary>Queues bytes and returns at once, from any thread.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        bool wake;
        lock (_lock)
        {
            if (_gone || _stopping || !HasThread())
            {
                _dropped += bytes.Length;
                return;
            }
            Store(bytes);
            State wanted = bytes.Contains((byte)'\n') || _head - _tail >= ChunkSize ? State.Writing : State.Gathering;
            wake = wanted > _state;
            if (wake) _state = wanted;
        }
        if (wake) _wake.Signal();
    }

    /// <summary>Waits until everything written so far is out.</summary>
    /// <returns>False if the reader has gone or did not take it in time.</returns>
    public bool TryFlush(TimeSpan timeout)
    {
        long end, deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_lock)
        {
            end = _head;
            if (end != _tail) _state = State.Writing;
        }
        _wake.Signal();
        while (!_gone)
        {
            lock (_lock)
            {
                if (_done >= end) return true;
            }
            if (Environment.TickCount64 >= deadline) return false;
            Thread.Sleep(1);
        }
        return false;
    }

    /// <summary>Stops the thread; what is still in the ring is dropped (<see cref="TryFlush"/> first). Waits a moment for a write that is under way, not for a reader that takes nothing.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        _wake.Signal();
        // A thread that is stuck in a stopped terminal's write keeps the event; it is a background thread and ends with the process.
        if (_thread is null || _thread.Join(200)) _wake.Dispose();
    }

    // What writes may be a device, for which a host without threads is no reason to end.
    private bool HasThread()
    {
        try
        {
            _thread ??= HostThread.Start(Run, _name, StackSize);
            return true;
        }
        catch (MicroVmException)
        {
            return false;
        }
    }

    private void Store(ReadOnlySpan<byte> bytes)
    {
        int capacity = _ring.Length;
        if (bytes.Length > capacity)
        {
            _dropped += bytes.Length - capacity;
            bytes = bytes[^capacity..];
        }
        long excess = _head - _tail + bytes.Length - capacity;
        if (excess > 0)
        {
            _tail += excess;
            _dropped += excess;
        }
        int at = (int)(_head & (capacity - 1)), first = Math.Min(bytes.Length, capacity - at);
        bytes[..first].CopyTo(_ring.AsSpan(at));
        bytes[first..].CopyTo(_ring);
        _head += bytes.Length;
    }

    private void Run()
    {
        while (!_stopping)
        {
            State state;
            lock (_lock) state = _state;
            if (state == State.Writing)
            {
                Empty();
                continue;
            }
            _ = HostIo.Wait(_wake.Fd, Libc.EPOLLIN, state == State.Idle ? -1 : GatherMilliseconds);
            _wake.Drain();
            // The time to gather is over, or more came: either way it is written now.
            lock (_lock) if (state == State.Gathering) _state = State.Writing;
        }
    }

    private void Empty()
    {
        while (!_stopping)
        {
            int count = Take();
            if (count == 0) return;
            WriteOut(_chunk.AsSpan(0, count));
            lock (_lock) _done = _taken;
        }
    }

    private int Take()
    {
        lock (_lock)
        {
            int capacity = _ring.Length;
            int count = (int)Math.Min(_head - _tail, ChunkSize);
            if (count == 0)
            {
                _state = State.Idle;
                return 0;
            }
            int at = (int)(_tail & (capacity - 1)), first = Math.Min(count, capacity - at);
            _ring.AsSpan(at, first).CopyTo(_chunk);
            _ring.AsSpan(0, count - first).CopyTo(_chunk.AsSpan(first));
            _tail += count;
            _taken = _tail;
            return count;
        }
    }

    private void WriteOut(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && !_gone)
        {
            // Wait for room first: a blocking descriptor would otherwise hold this thread where Dispose cannot wake it.
            HostIo.WaitEither(_wake.Fd, Libc.EPOLLIN, _fd, Libc.EPOLLOUT, out bool woken, out bool ready);
            if (woken) _wake.Drain();
            if (_stopping) break;
            if (!ready) continue;
            int written = HostIo.Write(_fd, bytes);
            if (written >= 0) bytes = bytes[written..];
            // A file that may not grow, for want of space or for a limit, takes what comes when it may again.
            else if (written is -Libc.ENOSPC or -Libc.EDQUOT or -Libc.EFBIG) break;
            else if (written != -Libc.EAGAIN) Abandon();
        }
        if (bytes.IsEmpty) return;
        lock (_lock) _dropped += bytes.Length;
    }

    private void Abandon()
    {
        lock (_lock)
        {
            _gone = true;
            _dropped += _head - _tail;
            _tail = _head;
        }
    }
}
