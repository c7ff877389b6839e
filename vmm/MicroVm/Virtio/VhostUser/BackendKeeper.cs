using System.Text;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.VhostUser;

/// <summary>What a device asks of any backend.</summary>
/// <param name="Name">Of the device, for messages.</param>
/// <param name="Socket">Where the backend listens.</param>
/// <param name="Wanted">Protocol features of use.</param>
/// <param name="ConfigSize">Bytes of configuration space that the backend has.</param>
/// <param name="Remedy">How to start one.</param>
internal sealed record BackendNeeds(string Name, string Socket, VhostUserProtocol Wanted, int ConfigSize, string Remedy);

/// <summary>Keeps a device's backend: gives it what the driver set up and what the guest has as memory, takes it back at the reset, and finds the next backend when one is gone. All that waits for another process is on a thread of its own.</summary>
/// <remarks>The thread calls the transport, never the reverse while it holds <see cref="_state"/>; whoever holds a gate may wait here.</remarks>
internal sealed class BackendKeeper : IDisposable, IMemoryListener
{
    private const int FirstPause = 50, LongestPause = 1000, SettledAfter = 5000;

    private readonly BackendNeeds _needs;
    private readonly OutputPump? _log;
    private readonly int _patience;
    private readonly EventFd _wake = new(), _broken = new();
    private readonly Lock _state = new();
    private readonly ManualResetEventSlim _released = new(true), _told = new(true);
    private Thread? _thread;
    private BackendSession? _session;
    private IBackendObserver? _observer;
    private ulong _offered;
    private int _queues;
    private BackendRun? _wanted;
    private bool _stopping;
    // The memory that it follows, from the first run on, and whether that is another than the thread knows.
    private GuestMemory? _memory;
    private bool _moved;
    // Of the thread alone: what it works for, and whether the backend has it.
    private BackendRun? _held;
    private bool _served;
    private int _pause = FirstPause;
    private long _retryAt, _since;
    private string? _lastFailure;

    private BackendKeeper(BackendNeeds needs, BackendSession session, OutputPump? log, int patience) => (_needs, _session, _log, _patience) = (needs, session, log, patience);

    /// <summary>Connects to a backend that listens already.</summary>
    /// <param name="needs">What is asked of it.</param>
    /// <param name="log">Takes notes for the user.</param>
    /// <param name="patience">Milliseconds that a backend has for opening, starting and stopping each.</param>
    /// <exception cref="MicroVmException">Nobody listens, or not one who speaks the protocol.</exception>
    internal static BackendKeeper Open(BackendNeeds needs, OutputPump? log, int patience = BackendSession.Patience)
    {
        int fd = HostSocket.Connect(needs.Socket);
        if (fd < 0)
        {
            string remedy = -fd is Libc.ENOENT or Libc.ECONNREFUSED ? $"Start the backend first: {needs.Remedy}"
                : -fd == Libc.EINVAL ? $"Give a path of at most {HostSocket.MaxPath} bytes" : "Give the socket of a backend that this user may use and nobody else uses";
            throw MicroVmException.Refused(FailureKind.Host, $"cannot reach the backend of a {needs.Name} device", needs.Socket, -fd, remedy);
        }
        return Open(needs, fd, log, patience);
    }

    /// <summary>The same over a connected socket, which is then the keeper's.</summary>
    internal static BackendKeeper Open(BackendNeeds needs, int fd, OutputPump? log, int patience = BackendSession.Patience)
    {
        try
        {
            return new BackendKeeper(needs, new BackendSession(new BackendLink(fd), needs.Wanted, needs.ConfigSize, patience), log, patience);
        }
        catch (BackendException e)
        {
            throw Refused(needs, e.Message);
        }
    }

    private static MicroVmException Refused(BackendNeeds needs, string what) =>
        MicroVmException.Host($"cannot use the backend of a {needs.Name} device", $"{needs.Socket}: it {what}", "Give the socket of a vhost-user backend of that kind which no other machine uses");

    /// <summary>Virtio features of the backend.</summary>
    internal ulong Features => _session!.Features;

    /// <summary>Name of the thread that keeps it.</summary>
    internal string ThreadName => _needs.Name;

    /// <summary>Socket at which it listens.</summary>
    internal string Path => _needs.Socket;

    /// <summary>Most queues of the backend.</summary>
    internal ulong MaxQueues => _session!.MaxQueues;

    /// <summary>Its configuration space at first.</summary>
    internal ReadOnlySpan<byte> Config => _session!.Config;

    /// <summary>Whether a backend is there, for those who look.</summary>
    internal bool IsPresent => Volatile.Read(ref _session) is not null;

    /// <summary>Says what the next backend must have too.</summary>
    internal void Require(ulong features, int queues) => (_offered, _queues) = (features, queues);

    /// <summary>Begins to look after the backend. The properties above are not to be used any more.</summary>
    /// <exception cref="MicroVmException">The host gives no thread.</exception>
    internal void Begin(IBackendObserver observer, IThreadOwner owner)
    {
        (_observer, _since) = (observer, Environment.TickCount64);
        _thread = HostThread.Start(Run, _needs.Name, owner);
    }

    /// <summary>The failure to throw where the backend cannot serve the device.</summary>
    internal MicroVmException Refused(string what) => Refused(_needs, what);

    /// <summary>Serves what the driver set up, from soon on.</summary>
    internal void Start(in ActivationContext context, IVirtioTransport transport)
    {
        BackendRun run = new(context, transport, _broken);
        if (_memory is null) context.Memory.Listen(this);
        lock (_state)
        {
            _memory = context.Memory;
            _wanted = run;
            _released.Reset();
        }
        _wake.Signal();
    }

    /// <inheritdoc/>
    int IMemoryListener.MostRegions => VhostUserConst.MaxRegions;

    /// <inheritdoc/>
    /// <remarks>Waits for the thread: when this returns an honest backend knows of the change; one that does not answer has been cut off.</remarks>
    public void Changed(ReadOnlySpan<MemoryRegion> regions)
    {
        lock (_state)
        {
            // What there is in the beginning the first run brings.
            if (_memory is null) return;
            _moved = true;
            _told.Reset();
        }
        _wake.Signal();
        _told.Wait();
    }

    /// <summary>Ends that. When it returns no honest backend touches guest memory or events of this device; one that does not answer has been cut off.</summary>
    internal void Stop()
    {
        if (_thread is null) return;
        lock (_state) _wanted = null;
        _wake.Signal();
        _released.Wait();
    }

    /// <summary>Gives everything back; the driver has been stopped.</summary>
    public void Dispose()
    {
        if (_wake.Fd < 0) return;
        _memory?.Unlisten(this);
        Volatile.Write(ref _stopping, true);
        _wake.Signal();
        _thread?.Join();
        _thread = null;
        _held?.Dispose();
        _session?.Dispose();
        _wake.Dispose();
        _broken.Dispose();
        _released.Dispose();
        _told.Dispose();
    }

    private void Run()
    {
        try
        {
            Keep();
        }
        finally
        {
            // Who waits for this thread goes on, also if it failed.
            _released.Set();
            _told.Set();
        }
    }

    private void Keep()
    {
        while (!Volatile.Read(ref _stopping))
        {
            int pause = _session is null ? (int)Math.Clamp(_retryAt - Environment.TickCount64, 0, LongestPause) : -1;
            uint ready = HostIo.WaitAny([_wake.Fd, _session?.Socket ?? -1, _session?.Requests ?? -1, _broken.Fd], pause);
            if ((ready & 1) != 0) _ = _wake.Drain();
            bool moved;
            lock (_state) (moved, _moved) = (_moved, false);
            try
            {
                // One that has not got a run yet gets the memory with it.
                if (moved && _served) _session!.UpdateMemory(_held!.Memory);
                Serve(ready);
            }
            catch (BackendException e)
            {
                Lose(e.Message);
            }
            Release(moved);
        }
    }

    private void Serve(uint ready)
    {
        Adopt();
        if (_session is not { } session)
        {
            if (Environment.TickCount64 >= _retryAt) Connect();
        }
        else
        {
            if ((ready & 2) != 0) throw session.Unexpected();
            if ((ready & 4) != 0 && session.TakeRequest()) Refresh(session);
        }
        if ((ready & 8) != 0 && _broken.Drain() > 0) _held?.Transport.QueueBroken(0, QueueFault.Backend);
        Settle();
    }

    // Works for what is wanted now; before anything that can fail, for somebody may wait for the end of the run before.
    private void Adopt()
    {
        BackendRun? wanted;
        lock (_state) wanted = _wanted;
        if (_held == wanted) return;
        LetGo();
        _held = wanted;
    }

    // Gives the backend, if there is one, what it has not got.
    private void Settle()
    {
        if (_held is null || _served || _session is not { } session) return;
        _served = true;
        session.Start(_held);
    }

    private void LetGo()
    {
        if (_held is not { } run) return;
        _held = null;
        try
        {
            if (_served) _session!.Stop(run);
        }
        finally
        {
            _served = false;
            run.Dispose();
        }
    }

    // Whoever waits for the end of a run hears of it once nothing of it is in use, and who changed the memory once nothing of the old is.
    private void Release(bool moved)
    {
        lock (_state)
        {
            if (moved && !_moved) _told.Set();
            if (_wanted is null && _held is null) _released.Set();
        }
    }

    private void Connect()
    {
        int fd = HostSocket.Connect(_needs.Socket);
        if (fd < 0) throw new BackendException($"is not there: {Libc.Describe(-fd)}");
        BackendSession session = new(new BackendLink(fd), _needs.Wanted, _needs.ConfigSize, _patience);
        if ((_offered & ~session.Features) != 0 || session.MaxQueues < (ulong)_queues)
        {
            session.Dispose();
            throw new BackendException($"lacks what the guest was offered: features 0x{_offered & ~session.Features:x}, {_queues} queues");
        }
        Volatile.Write(ref _session, session);
        _since = Environment.TickCount64;
        _lastFailure = null;
        Note("is back");
        if (_needs.ConfigSize > 0) _observer!.OnConfig(session.Config);
        _observer!.OnBackend(true);
    }

    private void Refresh(BackendSession session)
    {
        session.ReadConfig();
        _observer!.OnConfig(session.Config);
    }

    private void Lose(string why)
    {
        bool had = _session is not null;
        _session?.Dispose();
        Volatile.Write(ref _session, null);
        _served = false;
        _held?.CallAll();
        long now = Environment.TickCount64;
        // One that comes and goes is looked for as seldom as one that stays away.
        _pause = had && now - _since >= SettledAfter ? FirstPause : Math.Min(_pause * 2, LongestPause);
        _retryAt = now + _pause;
        if (had || why != _lastFailure && _lastFailure is not null) Note(why);
        _lastFailure = why;
        if (had) _observer!.OnBackend(false);
    }

    private void Note(string what) => _log?.Write(Encoding.UTF8.GetBytes($"microvm: note: {_needs.Name}: the backend at {_needs.Socket} {what}\n"));
}
