using MicroVm.Kvm;

namespace MicroVm.Events;

/// <summary>Takes input for the guest; called on the pump's thread.</summary>
internal interface IInputSink
{
    /// <summary>Takes as many of the bytes as there is room for and answers how many; after fewer than all it calls <see cref="InputPump.Resume"/> once there is room.</summary>
    int Receive(ReadOnlySpan<byte> bytes);
}

/// <summary>Where a device's input comes from.</summary>
internal interface IInputSource
{
    /// <summary>The device has room again. From any thread.</summary>
    void Resume();
}

/// <summary>Input from a file descriptor of the host on its way to a device: a thread that reads only what the device has room for.</summary>
/// <remarks>Works with terminals, pipes, sockets, files and <c>/dev/null</c>, blocking or not, and changes no flag of the descriptor.
/// The end of the input ends the pump, not the machine; <c>ended</c> then hears of it, on the pump's thread.</remarks>
internal sealed class InputPump(int fd, IInputSink sink, string name, IThreadOwner owner, Action? ended = null)
    : IInputSource, IDisposable
{
    private const int ChunkSize = 256;

    private readonly EventFd _wake = new();
    private Thread? _thread;
    private volatile bool _stopping;

    /// <summary>Takes the monitor's own keys out of what is typed; set before <see cref="Start"/>.</summary>
    internal EscapeFilter? Escape { private get; set; }

    /// <summary>Hears, on the pump's thread, that something was read; set before <see cref="Start"/>.</summary>
    internal Action? Taken { private get; set; }

    /// <summary>Starts reading.</summary>
    internal void Start()
    {
        if (fd < 0) return;
        _thread = HostThread.Start(Run, name, owner);
    }

    /// <inheritdoc/>
    public void Resume() => _wake.Signal();

    /// <summary>Ends the thread.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        _wake.Signal();
        if (_thread != Thread.CurrentThread) _thread?.Join();
        _wake.Dispose();
    }

    private void Run()
    {
        Read();
        if (!_stopping) ended?.Invoke();
    }

    private void Read()
    {
        Span<byte> buffer = stackalloc byte[ChunkSize];
        while (!_stopping)
        {
            HostIo.WaitEither(_wake.Fd, Libc.EPOLLIN, fd, Libc.EPOLLIN, out _, out bool ready);
            _ = _wake.Drain();
            if (_stopping || !ready) continue;
            int count = HostIo.Read(fd, buffer);
            if (count > 0) Taken?.Invoke();
            if (count > 0) Deliver(buffer[..(Escape?.Filter(buffer[..count]) ?? count)]);
            else if (count != -Libc.EAGAIN) return;
        }
    }

    private void Deliver(ReadOnlySpan<byte> bytes)
    {
        while (!_stopping && !bytes.IsEmpty)
        {
            bytes = bytes[sink.Receive(bytes)..];
            if (bytes.IsEmpty) return;
            _ = HostIo.Wait(_wake.Fd, Libc.EPOLLIN, -1);
            _ = _wake.Drain();
        }
    }
}
