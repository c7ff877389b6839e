using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm;

/// <summary>The host's side of a serial port or console: descriptors, the two pumps between them and the device, and the stream where the caller asked for one.</summary>
internal sealed class ConsoleAttachment : IDisposable
{
    private const int StandardInput = 0, StandardOutput = 1;

    private readonly List<IDisposable> _owned = [];
    private readonly string _name;
    private readonly IThreadOwner _owner;
    private readonly int _input = -1;
    private readonly ConsoleSocket? _socket;
    private readonly ConsoleStream? _stream;
    private InputPump? _pump;

    private ConsoleAttachment(ConsoleEndpoint endpoint, string name, IThreadOwner owner)
    {
        (_name, _owner) = (name, owner);
        Where = endpoint switch
        {
            ConsoleEndpoint.SocketEndpoint s => Path.GetFullPath(s.Path),
            ConsoleEndpoint.FileEndpoint f => Path.GetFullPath(f.Path),
            ConsoleEndpoint.StandardIoEndpoint => "standard input and output",
            _ => "this process",
        };
        if (endpoint is ConsoleEndpoint.SocketEndpoint socket)
        {
            Output = _socket = Own(new ConsoleSocket(socket.Path, name, owner));
            return;
        }
        if (endpoint is ConsoleEndpoint.StreamEndpoint)
        {
            _stream = new ConsoleStream(name, owner);
            _input = _stream.GuestInput;
            Output = _stream.Output;
            return;
        }
        int output = -1;
        switch (endpoint)
        {
            case ConsoleEndpoint.StandardIoEndpoint: (_input, output) = (StandardInput, StandardOutput); break;
            case ConsoleEndpoint.DescriptorEndpoint d: (_input, output) = (d.Input, d.Output); break;
            case ConsoleEndpoint.FileEndpoint f: output = Own(Create(f.Path)).Descriptor; break;
        }
        Output = Own(new OutputPump(output, name, owner: owner));
    }

    /// <summary>Attaches to <paramref name="endpoint"/>; null for <see cref="ConsoleEndpoint.None"/>.</summary>
    /// <exception cref="MicroVmException">The file cannot be made.</exception>
    internal static ConsoleAttachment? TryAttach(ConsoleEndpoint endpoint, string name, IThreadOwner owner) =>
        endpoint is ConsoleEndpoint.NoEndpoint ? null : new ConsoleAttachment(endpoint, name, owner);

    /// <summary>What this end is, for people: a path, or words.</summary>
    internal string Where { get; }

    /// <summary>Takes the guest's output.</summary>
    internal IOutputSink Output { get; }

    /// <summary>The caller's end, with <see cref="ConsoleEndpoint.Stream"/>.</summary>
    internal Stream? Stream => _stream;

    /// <summary>Names the device that takes the input; reading starts with <see cref="Start"/>.</summary>
    internal IInputSource? Feed(IInputSink sink)
    {
        if (_socket is null)
        {
            if (_input < 0) return null;
            Action? taken = _stream is null ? null : _stream.InputTaken;
            return _pump = Own(new InputPump(_input, sink, _name + "-in", _owner) { Taken = taken });
        }
        _socket.Sink = sink;
        return _socket;
    }

    /// <summary>Somebody is at this end from the start; a socket's clients come and go, of which <paramref name="opened"/> then hears.</summary>
    internal bool WatchOpen(Action<bool> opened)
    {
        if (_socket is not null) _socket.Opened = opened;
        return _socket is null;
    }

    /// <summary>Columns and rows of the terminal that this is; null if it is none.</summary>
    internal (ushort Columns, ushort Rows)? TerminalSize => _input == StandardInput ? HostTerminal.Size(_input) : null;

    /// <summary>Takes the monitor's own keys out of the input.</summary>
    internal void FilterKeys(EscapeFilter escape)
    {
        if (_pump is not null) _pump.Escape = escape;
    }

    /// <summary>Starts reading input.</summary>
    internal void Start()
    {
        _pump?.Start();
        _socket?.Start();
    }

    /// <summary>No output comes any more; a stream's reader sees the end. Answers how many bytes were lost
    /// (<see cref="IOutputSink.Finish"/>).</summary>
    internal long Finish()
    {
        _stream?.End();
        return Output.Finish();
    }

    public void Dispose()
    {
        _stream?.End();
        for (int i = _owned.Count - 1; i >= 0; i--) _owned[i].Dispose();
        _owned.Clear();
        // What the guest wrote can still be read.
        _stream?.CloseInput();
    }

    private static HostFile Create(string path) =>
        HostFile.TryOpen(path, Libc.O_WRONLY | Libc.O_CREAT | Libc.O_TRUNC, out int error, mode: 0x180 /* 0600 */)
        ?? throw MicroVmException.Refused(FailureKind.Host, "cannot make the output file", path, error, "Give a path in a folder that can be written");

    private T Own<T>(T part) where T : IDisposable
    {
        _owned.Add(part);
        return part;
    }
}
