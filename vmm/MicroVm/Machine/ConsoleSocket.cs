using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm;

/// <summary>A host's end that listens at a path for one client at a time; the next one waits until it has gone. What the guest writes while nobody is there is dropped and counted.</summary>
/// <remarks>Lock order: this one is taken before the ring's.</remarks>
internal sealed class ConsoleSocket : IOutputSink, IInputSource, IDisposable
{
    private const int OwnersOnly = 0x180 /* 0600 */, StackBytes = 128 << 10, LastWordsMilliseconds = 200;

    private readonly string _name;
    private readonly IThreadOwner _owner;
    private readonly HostListener _listener;
    private readonly EventFd _stop = new(), _gone = new();
    private readonly Lock _lock = new();
    private OutputPump? _output;
    private InputPump? _input;
    private Thread? _thread;
    private long _dropped, _lost;

    /// <summary>Listens; the socket is its owner's alone (0600).</summary>
    /// <exception cref="MicroVmException">It is no path for a socket, something is there, or the host refused.</exception>
    internal ConsoleSocket(string path, string name, IThreadOwner owner)
    {
        (_name, _owner) = (name, owner);
        int error = Libc.EINVAL;
        bool possible = HostSocket.IsPath(path);
        _listener = (possible ? HostListener.TryListen(path, out error, OwnersOnly) : null)!;
        if (_listener is not null) return;
        _stop.Dispose();
        _gone.Dispose();
        if (!possible) throw MicroVmException.Usage("not a path for a socket", $"socket={path}", $"Give one of at most {HostSocket.MaxPath} bytes");
        throw MicroVmException.Refused(FailureKind.Host, "cannot listen for a console's client", $"socket={path}", error,
            error == Libc.EADDRINUSE ? "Another machine listens there, or it is not a socket of yours: use another path, or remove it" : "Check the folder and its permissions");
    }

    /// <summary>Bytes that never reached a client.</summary>
    internal long Dropped
    {
        get { lock (_lock) return _dropped + (_output?.Dropped ?? 0); }
    }

    /// <summary>Takes what clients send; before <see cref="Start"/>.</summary>
    internal IInputSink? Sink { private get; set; }

    /// <summary>Hears of clients that come (true) and go, on this socket's thread.</summary>
    internal Action<bool>? Opened { private get; set; }

    /// <summary>Lets clients in.</summary>
    internal void Start() => _thread = HostThread.Start(Run, _name, _owner, StackBytes);

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (_output is null) _dropped += bytes.Length;
            else _output.Write(bytes);
        }
    }

    /// <inheritdoc/>
    public void Resume()
    {
        lock (_lock) _input?.Resume();
    }

    /// <inheritdoc/>
    public long Push()
    {
        lock (_lock) return _output?.Push() ?? 0;
    }

    /// <inheritdoc/>
    public long Finish()
    {
        IOutputSink? output;
        lock (_lock) output = _output;
        long lost = output?.Finish() ?? 0;
        lock (_lock) return _lost + lost;
    }

    public void Dispose()
    {
        _stop.Signal();
        _thread?.Join();
        _listener.Dispose();
        _stop.Dispose();
        _gone.Dispose();
    }

    private void Run()
    {
        while (true)
        {
            HostIo.WaitEither(_listener.Fd, Libc.EPOLLIN, _stop.Fd, Libc.EPOLLIN, out bool called, out bool stopped);
            if (stopped) return;
            int client = called ? HostSocket.Accept(_listener.Fd) : -Libc.EAGAIN;
            // No descriptors left: the listener stays ready, and would be asked for ever.
            if (client is -Libc.EMFILE or -Libc.ENFILE) Thread.Sleep(100);
            if (client < 0) continue;
            Serve(client);
            HostSocket.Close(client);
        }
    }

    private void Serve(int client)
    {
        OutputPump? output = null;
        InputPump? input = null;
        try
        {
            output = new OutputPump(client, _name, owner: _owner);
            input = Sink is null ? null : new InputPump(client, Sink, _name + "-in", _owner, _gone.Signal);
            _ = _gone.Drain();
            lock (_lock) (_output, _input) = (output, input);
            input?.Start();
            Opened?.Invoke(true);
            HostIo.WaitEither(_gone.Fd, Libc.EPOLLIN, _stop.Fd, Libc.EPOLLIN, out _, out bool stopped);
            Opened?.Invoke(false);
            // One that has only ended its own side still reads.
            if (!stopped) _ = output.TryFlush(TimeSpan.FromMilliseconds(LastWordsMilliseconds));
        }
        catch (MicroVmException)
        {
            // The host gives no thread, or no descriptor: the client is sent away.
        }
        lock (_lock) (_output, _input) = (null, null);
        input?.Dispose();
        if (output is null) return;
        long lost = ((IOutputSink)output).Finish();
        lock (_lock)
        {
            _lost += lost;
            _dropped += output.Dropped;
        }
    }
}
