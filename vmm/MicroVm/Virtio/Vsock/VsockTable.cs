using System.Diagnostics.CodeAnalysis;
using MicroVm.Devices;

namespace MicroVm.Virtio.Vsock;

/// <summary>The connections of a device, a limited number; which of them have news for the guest; and who is to be refused.</summary>
internal sealed class VsockTable
{
    /// <summary>Most connections at a time, in both directions together.</summary>
    internal const int MaxConnections = 1024;
    // Refusals that wait for a buffer of the guest. One that gives none gets no more of them.
    private const int MaxRefusals = 256;

    private readonly List<VsockConnection> _slots = [];
    private readonly Stack<VsockConnection> _free = new();
    private readonly Dictionary<(uint HostPort, uint GuestPort), VsockConnection> _byPorts = [];
    private readonly Queue<VsockConnection> _withNews = new();
    private readonly Queue<(uint HostPort, uint GuestPort)> _refusals = new();
    private uint _nextPort = (uint)VirtioVsockConst.FirstHostPort;

    /// <summary>Slots in use.</summary>
    internal int Count => _slots.Count - _free.Count;

    internal bool IsFull => Count == MaxConnections;

    internal bool HasNews => _withNews.Count != 0 || _refusals.Count != 0;

    internal VsockConnection this[int slot] => _slots[slot];

    internal IEnumerable<VsockConnection> Slots => _slots;

    /// <summary>A free slot; the table is not full.</summary>
    internal VsockConnection Take()
    {
        if (_free.TryPop(out VsockConnection? free)) return free;
        VsockConnection fresh = new(_slots.Count);
        _slots.Add(fresh);
        return fresh;
    }

    /// <summary>Gives a slot back; its socket is closed already.</summary>
    internal void Release(VsockConnection c)
    {
        if (c.Registered) _byPorts.Remove((c.HostPort, c.GuestPort));
        c.Registered = false;
        c.State = VsockState.Free;
        c.News = VsockNews.None;
        _free.Push(c);
    }

    internal bool TryFind(uint hostPort, uint guestPort, [NotNullWhen(true)] out VsockConnection? c) => _byPorts.TryGetValue((hostPort, guestPort), out c);

    /// <summary>From now on found by its ports.</summary>
    internal void Register(VsockConnection c)
    {
        _byPorts.Add((c.HostPort, c.GuestPort), c);
        c.Registered = true;
    }

    /// <summary>A port of the host that is not in use with this port of the guest.</summary>
    internal uint FreeHostPort(uint guestPort)
    {
        do _nextPort = _nextPort == uint.MaxValue - 1 ? (uint)VirtioVsockConst.FirstHostPort : _nextPort + 1;
        while (_byPorts.ContainsKey((_nextPort, guestPort)));
        return _nextPort;
    }

    internal void AddNews(VsockConnection c, VsockNews news)
    {
        c.News |= news;
        if (c.Queued || c.News == VsockNews.None) return;
        c.Queued = true;
        _withNews.Enqueue(c);
    }

    /// <summary>The next connection with news; it is not in the list any more.</summary>
    internal bool TryTakeNews([NotNullWhen(true)] out VsockConnection? c)
    {
        while (_withNews.TryDequeue(out c))
        {
            c.Queued = false;
            if (c.News != VsockNews.None) return true;
        }
        return false;
    }

    internal void Refuse(uint hostPort, uint guestPort)
    {
        if (_refusals.Count < MaxRefusals) _refusals.Enqueue((hostPort, guestPort));
    }

    internal bool TryTakeRefusal(out (uint HostPort, uint GuestPort) ports) => _refusals.TryDequeue(out ports);
}
