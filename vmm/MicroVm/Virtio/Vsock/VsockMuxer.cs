using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Vsock;

/// <summary>All connections of a device for as long as an activation lasts, on one thread. This file: what comes from the host's sockets; beside it what comes from the guest, and what goes there.</summary>
internal sealed partial class VsockMuxer : IEventHandler
{
    private const int ReceiveKick = -1, TransmitKick = -2, Listener = -3;
    private const int AcceptsPerTurn = 16;

    private readonly ulong _cid;
    private readonly VsockHost _host;
    private readonly Virtqueue _receive, _transmit;
    private readonly EventLoop _loop;
    private readonly IVirtioTransport _transport;
    private readonly VsockTable _table = new();
    private readonly byte[] _packet = GC.AllocateUninitializedArray<byte>((int)VirtioVsockConst.MaxPacket);
    private volatile bool _stopping;
    private bool _deaf, _reported;

    internal VsockMuxer(ulong cid, VsockHost host, Virtqueue receive, Virtqueue transmit, EventLoop loop, IVirtioTransport transport) =>
        (_cid, _host, _receive, _transmit, _loop, _transport) = (cid, host, receive, transmit, loop, transport);

    /// <summary>Connections now; for tests.</summary>
    internal int Count => _table.Count;

    internal void Start()
    {
        _loop.Add(_receive.Setup.Kick.Fd, this, ReceiveKick, edge: true);
        _loop.Add(_transmit.Setup.Kick.Fd, this, TransmitKick, edge: true);
        _loop.Add(_host.Listener, this, Listener);
    }

    /// <summary>Ends all connections. Nothing is served once this returns.</summary>
    internal void Stop()
    {
        _stopping = true;
        _loop.Remove(_receive.Setup.Kick.Fd);
        _loop.Remove(_transmit.Setup.Kick.Fd);
        _loop.Remove(_host.Listener);
        foreach (VsockConnection c in _table.Slots)
        {
            if (c.State == VsockState.Free) continue;
            _loop.Remove(c.Socket);
            c.CloseSocket();
        }
    }

    public void OnReady(int token)
    {
        if (_stopping || _reported) return;
        // There may be descriptors again; nobody tells when others give theirs back.
        if (token != Listener) Deafen(false);
        if (token == TransmitKick) ServeGuest();
        else if (token == Listener) Accept();
        else if (token >= 0 && _table[token] is { State: not VsockState.Free } c) ServeHost(c);
        TellGuest();
        Virtqueue.Announce(_receive, _transmit, _transport);
        Virtqueue broken = _receive.Fault != QueueFault.None ? _receive : _transmit;
        if (broken.Fault == QueueFault.None) return;
        _reported = true;
        _transport.QueueBroken(broken.Setup.Index, broken.Fault);
    }

    private void Accept()
    {
        for (int i = 0; i < AcceptsPerTurn; i++)
        {
            int fd = HostSocket.Accept(_host.Listener);
            if (fd == -Libc.EAGAIN) return;
            if (fd < 0)
            {
                // No descriptors left: the listener stays ready, and would be asked for ever.
                Deafen(fd != -Libc.ECONNABORTED);
                return;
            }
            if (_table.IsFull || HostDescriptors.IsReserved(fd) || !TryWatch(fd, out VsockConnection? c))
            {
                HostSocket.Close(fd);
                continue;
            }
            c.Begin(fd, VsockState.Greeting);
            ServeHost(c);
        }
    }

    private bool TryWatch(int fd, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out VsockConnection? c)
    {
        c = _table.Take();
        c.Begin(-1, VsockState.Greeting);
        try
        {
            _loop.Add(fd, this, c.Slot);
            return true;
        }
        catch (MicroVmException)
        {
            _table.Release(c);
            return false;
        }
    }

    private void Deafen(bool deaf)
    {
        if (deaf == _deaf) return;
        _deaf = deaf;
        _loop.Want(_host.Listener, readable: !deaf);
    }

    private void ServeHost(VsockConnection c)
    {
        switch (c.State)
        {
            case VsockState.Greeting: Greet(c); break;
            case VsockState.Asked when HostIo.HasFailed(c.Socket): Free(c); break;
            case VsockState.Open: ServeOpen(c); break;
        }
    }

    private void Greet(VsockConnection c)
    {
        if (!c.Greeting.Read(c.Socket, out uint port, out bool bad))
        {
            if (bad) Free(c);
            return;
        }
        c.Name(_table.FreeHostPort(port), port);
        _table.Register(c);
        c.State = VsockState.Asked;
        _loop.Want(c.Socket, readable: false);
        _table.AddNews(c, VsockNews.Request);
    }

    private void ServeOpen(VsockConnection c)
    {
        if (c.Socket < 0) return;
        bool gone = HostIo.HasFailed(c.Socket);
        if (c.Blocked && !c.Flush())
        {
            Abort(c);
            return;
        }
        if (c.OwesCredit) _table.AddNews(c, VsockNews.Credit);
        if (!c.HostEnded) _table.AddNews(c, VsockNews.Data);
        if (gone)
        {
            ForgetSocket(c);
            if (c.HostEnded) _table.AddNews(c, VsockNews.Shutdown);
        }
        Settle(c);
    }

    // A socket that is closed stays ready for ever. What it still holds is read when the guest has room.
    private void ForgetSocket(VsockConnection c)
    {
        _loop.Remove(c.Socket);
        c.HostGone = true;
    }

    // Listens for what can be handled now and nothing else.
    private void Listen(VsockConnection c)
    {
        if (c.State != VsockState.Open || c.Socket < 0 || c.HostGone) return;
        _loop.Want(c.Socket, readable: !c.HostEnded && (c.News & VsockNews.Data) == 0 && c.Credit != 0, writable: c.Blocked);
    }

    // Both directions have ended and nothing waits: the reset that the guest expects (5.10.6.5).
    private void Settle(VsockConnection c)
    {
        if (c is { State: VsockState.Open, GuestEnded: true, HostEnded: true, Blocked: false } && (c.News & (VsockNews.Data | VsockNews.Shutdown)) == 0) Abort(c);
        else Listen(c);
    }

    // The guest hears of it; the host at once.
    private void Abort(VsockConnection c)
    {
        Unwatch(c);
        c.State = VsockState.Closed;
        c.News = VsockNews.None;
        _table.AddNews(c, VsockNews.Reset);
    }

    private void Free(VsockConnection c)
    {
        Unwatch(c);
        _table.Release(c);
    }

    private void Unwatch(VsockConnection c)
    {
        if (c.Socket < 0) return;
        _loop.Remove(c.Socket);
        c.CloseSocket();
        Deafen(false);
    }
}
