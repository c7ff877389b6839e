using System.Text.Json;
using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Cli.Control;

/// <summary>The control socket of a machine: takes connections, and does one request at a time, but for the end, which
/// comes at once. Its threads are none of the guest's, and whatever a client does, the guest runs on.</summary>
internal sealed class ControlServer : IDisposable
{
    private const int OwnersOnly = 0x180 /* 0600 */, MaxConnections = 16, MaxShown = 1000, StackBytes = 256 << 10,
        PatienceMilliseconds = 2000, TurnMilliseconds = 1000;

    private readonly Machine _machine;
    private readonly string _path;
    private readonly HostListener _listener;
    private readonly EventFd _stop = new();
    private readonly Lock _gate = new();
    private readonly Thread _thread;
    private bool _closed;
    private int _connections, _answering;

    /// <summary>Listens. The socket is its owner's alone (0600).</summary>
    /// <param name="machine">What is asked.</param>
    /// <param name="path">Where it is made, and removed from at the end.</param>
    /// <exception cref="MicroVmException">Something is at the path, or the host refused.</exception>
    internal ControlServer(Machine machine, string path)
    {
        (_machine, _path) = (machine, path);
        _listener = HostListener.TryListen(path, out int error, OwnersOnly)!;
        if (_listener is null)
        {
            _stop.Dispose();
            throw MicroVmException.Refused(FailureKind.Host, "cannot make the control socket", path, error, error == Libc.EADDRINUSE
                ? "Another machine listens there, or it is not a socket of yours: use another path, or remove it"
                : "Check the folder and its permissions");
        }
        try
        {
            _thread = HostThread.Start(Accept, "control", machine.Parts.End, StackBytes);
        }
        catch
        {
            Close();
            throw;
        }
    }

    /// <summary>Answers what is being asked, then takes no more and removes the socket. The machine may be disposed of afterwards.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
        }
        _ = SpinWait.SpinUntil(() => Volatile.Read(ref _answering) == 0, PatienceMilliseconds);
        _stop.Signal();
        _thread.Join();
        Close();
    }

    private void Close()
    {
        _listener.Dispose();
        _stop.Dispose();
    }

    private void Accept()
    {
        while (true)
        {
            HostIo.WaitEither(_listener.Fd, Libc.EPOLLIN, _stop.Fd, Libc.EPOLLIN, out bool called, out bool stopped);
            if (stopped) return;
            int fd = called ? HostSocket.Accept(_listener.Fd) : -Libc.EAGAIN;
            // No descriptors left: the listener stays ready, and would be asked for ever.
            if (fd is -Libc.EMFILE or -Libc.ENFILE) Thread.Sleep(100);
            if (fd >= 0) Begin(fd);
        }
    }

    private void Begin(int fd)
    {
        try
        {
            if (Interlocked.Increment(ref _connections) > MaxConnections) throw MicroVmException.Host("too many connections to the control socket", $"{MaxConnections}", "Close some");
            HostThread.Start(() => Serve(fd), "control-client", _machine.Parts.End, StackBytes);
        }
        catch (MicroVmException e)
        {
            Interlocked.Decrement(ref _connections);
            // A new socket takes this much without waiting for its reader.
            _ = HostSocket.Send(fd, Refusal(e).ToLine());
            HostSocket.Close(fd);
        }
    }

    private void Serve(int fd)
    {
        try
        {
            ControlLine line = new(fd);
            bool open = true;
            while (open && line.TryRead(out ReadOnlyMemory<byte> request, out MicroVmException? unreadable))
            {
                Interlocked.Increment(ref _answering);
                try
                {
                    // After what is no request nobody knows where the next one begins.
                    open = ControlLine.Send(fd, unreadable is null ? Answer(request.Span) : Refusal(unreadable)) && unreadable is null;
                }
                finally
                {
                    Interlocked.Decrement(ref _answering);
                }
            }
        }
        finally
        {
            HostSocket.Close(fd);
            Interlocked.Decrement(ref _connections);
        }
    }

    private ControlAnswer Answer(ReadOnlySpan<byte> text)
    {
        try
        {
            ControlRequest request = ControlRequest.Read(text);
            ControlCommand command = ControlCommands.Find(request);
            // The end takes no lock: whatever waits here, it comes.
            object? result = command.Ends ? command.Run(_machine, request.Arguments) : Do(command, request);
            return new ControlAnswer { Ok = true, Result = result };
        }
        catch (JsonException e)
        {
            return Refusal(MicroVmException.Usage("not a request", $"byte {e.BytePositionInLine + 1 ?? 1} of the line", "Give {\"command\": \"list\", \"arguments\": []}"));
        }
        catch (MicroVmException e)
        {
            return Refusal(e);
        }
#pragma warning disable CA1031 // A bug in a command must not take the guest with it.
        catch (Exception e)
        {
            return new ControlAnswer { Ok = false, Error = $"a bug in microvm, {e.GetType().Name}: {e.Message}. Report it.", Code = (int)FailureKind.Host };
        }
#pragma warning restore CA1031
    }

    private object? Do(ControlCommand command, ControlRequest request)
    {
        if (!_gate.TryEnter(TurnMilliseconds)) throw MicroVmException.Host("the machine is busy with another command",
            command.Name, "Try again; 'microvm ctl NAME stop' ends it all the same");
        try
        {
            if (_closed) throw MicroVmException.Host("the machine has ended", _path, "Start another");
            if (!command.Waits) return command.Run(_machine, request.Arguments);
        }
        finally
        {
            _gate.Exit();
        }
        // The machine's own lock has it alone, and its end does not wait for the guest.
        return command.Run(_machine, request.Arguments);
    }

    // What the client wrote comes back in it: on one line, and not at any length.
    private static ControlAnswer Refusal(MicroVmException e) =>
        new() { Ok = false, Error = new MicroVmException(e.Kind, Shown(e.What), Shown(e.Where), e.Remedy).Message, Code = (int)e.Kind };

    private static string Shown(string text)
    {
        char[] shown = (text.Length > MaxShown ? text[..MaxShown] + "..." : text).ToCharArray();
        for (int i = 0; i < shown.Length; i++) if (char.IsControl(shown[i])) shown[i] = '?';
        return new string(shown);
    }
}
