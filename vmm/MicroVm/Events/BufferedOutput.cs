using MicroVm.Kvm;

namespace MicroVm.Events;

/// <summary>Takes output of the guest and never waits for its reader.</summary>
internal interface IOutputSink
{
    /// <summary>Takes all of the bytes, or drops some and counts them. From any thread.</summary>
    void Write(ReadOnlySpan<byte> bytes);

    /// <summary>Sends what is kept on its way at once.</summary>
    /// <returns>Bytes that still wait for their reader, and would be lost to it if this ended now.</returns>
    long Push();

    /// <summary>Takes nothing more, and drops what would still have to go to a reader.</summary>
    /// <returns>Bytes that were lost to a reader who was there: it was too slow, or its file could not grow.</returns>
    long Finish();
}

/// <summary>Output of the guest on its way out: a bounded ring, and a thread that hands it on a line or a chunk at a
/// time.</summary>
/// <remarks>Writers are vCPU and device threads and never wait for the reader: when the ring is full its oldest bytes
/// give way and are counted.
/// Lock order: the ring's lock is the innermost of all.</remarks>
public abstract class BufferedOutput : IOutputSink, IDisposable
{
    /// <summary>Bytes that are handed on together at most, and for which the thread does not wait for the end of a
    /// line.</summary>
    private protected const int ChunkSize = 4096;
    /// <summary>Bytes of a ring unless something else is said.</summary>
    private protected const int DefaultCapacity = 1 << 18;
    private const int StackSize = 128 << 10;
    /// <summary>How long a line that has not ended may gather before it is handed on, so that a serial port costs a
    /// step per line and not per byte.</summary>
    private const int GatherMilliseconds = 1;

    private readonly Lock _lock = new();
    private readonly byte[] _ring;
    private readonly string _name;
    private readonly IThreadOwner _owner;
    // Positions in the stream: bytes come in at head, the oldest in the ring is at tail.
    private long _head, _tail;
    private long _inHand, _dropped, _lost;
    private Thread? _thread;
    private State _state = State.Idle;
    private volatile bool _stopping, _gone;

    private enum State { Idle, Gathering, Ready }

    /// <summary>Makes a ring; its thread starts with the first byte, and bytes for which the host gives none are
    /// dropped.</summary>
    /// <param name="name">Name of the thread.</param>
    /// <param name="capacity">Bytes of the ring, a power of two.</param>
    /// <param name="owner">Hears if the thread fails; null for one outside a machine.</param>
    private protected BufferedOutput(string name, int capacity, IThreadOwner? owner)
    {
        if (!System.Numerics.BitOperations.IsPow2(capacity)) throw new ArgumentOutOfRangeException(nameof(capacity));
        (_name, _owner) = (name, owner ?? ThreadOwner.Process);
        _ring = new byte[capacity];
    }

    /// <summary>Bytes that never reached the reader.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    /// <summary>True once the reader has gone; from then on everything is dropped.</summary>
    public bool ReaderGone => _gone;

    /// <summary>Wakes the thread; to be drained on it.</summary>
    private protected EventFd Wake { get; } = new();

    /// <summary>The thread is to end.</summary>
    private protected bool Stopping => _stopping;

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
                Drop(bytes.Length);
                return;
            }
            Store(bytes);
            wake = Raise(bytes.Contains((byte)'\n') || _head - _tail >= ChunkSize ? State.Ready : State.Gathering);
        }
        if (wake) Wake.Signal();
    }

    /// <inheritdoc cref="IOutputSink.Push"/>
    internal virtual long Push()
    {
        bool wake;
        long left;
        lock (_lock)
        {
            left = _head - _tail + _inHand;
            wake = _head != _tail && Raise(State.Ready);
        }
        if (wake) Wake.Signal();
        return left;
    }

    long IOutputSink.Push() => Push();

    /// <summary>Waits until everything written so far is out.</summary>
    /// <returns>False if the reader has gone or did not take it in time.</returns>
    public bool TryFlush(TimeSpan timeout)
    {
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        while (!_gone)
        {
            if (Push() == 0) return !_gone;
            if (Environment.TickCount64 >= deadline) return false;
            Thread.Sleep(1);
        }
        return false;
    }

    long IOutputSink.Finish()
    {
        Dispose();
        return Volatile.Read(ref _lost);
    }

    /// <summary>Stops the thread; what is still in the ring is dropped. Waits a moment for a step that is under way,
    /// not for a reader that takes nothing.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        Wake.Signal();
        // A thread that is stuck in a stopped terminal's write keeps the event; it is a background thread and ends with
        // the process.
        if (_thread is null || _thread.Join(200)) Wake.Dispose();
        if (!KeepsRest) DropRest();
    }

    /// <summary>What is left at the end can still be taken.</summary>
    private protected virtual bool KeepsRest => false;

    /// <summary>Hands bytes on; on the thread, when there are some.</summary>
    private protected abstract void HandOn();

    /// <summary>All is said about the bytes that there are: the thread is woken for the next ones.</summary>
    private protected void Rest()
    {
        lock (_lock) _state = State.Idle;
    }

    /// <summary>Takes the oldest bytes out of the ring, into the hands of the thread until <see cref="Settle"/>;
    /// answers how many.</summary>
    private protected int Take(Span<byte> into, bool inHand)
    {
        lock (_lock)
        {
            int capacity = _ring.Length, count = (int)Math.Min(_head - _tail, into.Length);
            int at = (int)(_tail & (capacity - 1)), first = Math.Min(count, capacity - at);
            _ring.AsSpan(at, first).CopyTo(into);
            _ring.AsSpan(0, count - first).CopyTo(into[first..]);
            _tail += count;
            if (inHand) _inHand = count;
            return count;
        }
    }

    /// <summary>Of the bytes in hand so many have reached the reader, or were given up.</summary>
    private protected void Settle(int count, bool lost)
    {
        lock (_lock)
        {
            _inHand -= count;
            if (lost) Drop(count);
        }
    }

    /// <summary>The reader has gone, for good.</summary>
    private protected void Abandon()
    {
        lock (_lock) _gone = true;
        DropRest();
    }

    private void DropRest()
    {
        lock (_lock)
        {
            Drop(_head - _tail);
            _tail = _head;
        }
    }

    private void Drop(long count)
    {
        _dropped += count;
        if (!_gone) _lost += count;
    }

    // True if the thread does not know yet.
    private bool Raise(State wanted)
    {
        bool news = wanted > _state;
        if (news) _state = wanted;
        return news;
    }

    // What writes may be a device, for which a host without threads is no reason to end.
    private bool HasThread()
    {
        try
        {
            _thread ??= HostThread.Start(Run, _name, _owner, StackSize);
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
            Drop(bytes.Length - capacity);
            bytes = bytes[^capacity..];
        }
        long excess = _head - _tail + bytes.Length - capacity;
        if (excess > 0)
        {
            _tail += excess;
            Drop(excess);
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
            lock (_lock)
            {
                if (_head == _tail) _state = State.Idle;
                state = _state;
            }
            if (state == State.Ready)
            {
                HandOn();
                continue;
            }
            _ = HostIo.Wait(Wake.Fd, Libc.EPOLLIN, state == State.Gathering ? GatherMilliseconds : -1);
            _ = Wake.Drain();
            // The time to gather is over, or more came: either way it goes on now.
            if (state == State.Gathering) lock (_lock) _state = State.Ready;
        }
    }
}
