using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Vhost;

namespace MicroVm.Virtio.Net;

/// <summary>The pairs of queues of a network device, each with its end of the host and, in this process, a thread. The driver says how many are used; the others' ends are detached, so that the host sends nothing there.</summary>
internal sealed class NetPairs : IDisposable
{
    private readonly INetEnd[] _ends;
    private readonly VhostNet[]? _vhost;
    private readonly EventLoop?[] _loops;
    private readonly NetPair?[] _pairs;
    private readonly NetCounters[] _counters;
    private readonly NetLimits? _limits;
    private readonly NetTimers?[] _timers;
    private int _active;

    /// <summary>Takes the ends, all of one interface.</summary>
    /// <param name="ends">One for each pair; owned from now on, also if this throws.</param>
    /// <param name="vhost">The host's kernel moves the frames.</param>
    /// <param name="limits">What the frames are held to, which vhost cannot do.</param>
    /// <exception cref="MicroVmException">It cannot.</exception>
    internal NetPairs(INetEnd[] ends, bool vhost, RateLimits limits)
    {
        (_ends, _loops, _pairs) = (ends, new EventLoop?[ends.Length], new NetPair?[ends.Length]);
        _counters = Array.ConvertAll(ends, static _ => new NetCounters());
        _limits = NetLimits.Of(limits);
        _timers = new NetTimers?[ends.Length];
        _active = ends.Length;
        Attach(1);
        if (!vhost) return;
        VhostNet?[] backends = new VhostNet?[ends.Length];
        try
        {
            for (int i = 0; i < ends.Length; i++) backends[i] = new VhostNet(ends[i], i);
        }
        catch
        {
            foreach (VhostNet? backend in backends) backend?.Dispose();
            foreach (INetEnd end in ends) end.Dispose();
            throw;
        }
        _vhost = backends!;
    }

    /// <summary>The first end, which speaks for the interface.</summary>
    internal INetEnd End => _ends[0];

    /// <summary>Hears of a thread that failed; set before the first pair is served.</summary>
    internal IThreadOwner Owner { private get; set; } = ThreadOwner.Process;

    /// <summary>Pairs there are.</summary>
    internal int Count => _ends.Length;

    /// <summary>Pairs in use.</summary>
    internal int Active => _active;

    /// <summary>The host's kernel moves the frames.</summary>
    internal bool IsInKernel => _vhost is not null;

    /// <summary>What went through all pairs; nothing is counted with vhost.</summary>
    internal NetCounters Counters => NetCounters.Sum(_counters);

    /// <summary>Serves the first pair, the control queue, and what else is quick.</summary>
    internal EventLoop Loop => LoopOf(0);

    /// <summary>The same, if something was ever served: to stop needs no thread.</summary>
    internal EventLoop? LoopIfMade => _loops[0];

    /// <summary>Of the features of a device those that the backend serves as well.</summary>
    internal ulong Restrict(ulong offered) => _vhost is null ? offered : _vhost[0].Restrict(offered);

    /// <summary>Starts the first pair; the others when the driver says so.</summary>
    /// <param name="context">The activation.</param>
    /// <param name="transport">Where interrupts go.</param>
    /// <param name="check">What the driver may send.</param>
    /// <param name="link">Told of the host's end.</param>
    internal void Start(in ActivationContext context, IVirtioTransport transport, FrameCheck check, ILinkObserver link)
    {
        // Without MultiQueue what is the second pair's first queue is the control queue.
        int count = (context.Features & (ulong)VirtioNetFeatures.MultiQueue) != 0 ? Count : 1;
        for (int i = 0; i < count; i++)
        {
            if (_vhost is not null) _vhost[i].Start(context, transport, Loop);
            else _pairs[i] = Make(i, context, transport, check, link);
        }
        _pairs[0]?.Start();
    }

    /// <summary>Uses this many pairs from now on; false if there are not so many. On the first pair's thread.</summary>
    internal bool Use(int count)
    {
        if (count < 1 || count > Count) return false;
        for (int i = count; i < _active; i++) _pairs[i]?.Stop();
        int before = _active;
        Attach(count);
        for (int i = before; i < count; i++) _pairs[i]?.Start();
        return true;
    }

    /// <summary>When this returns nobody touches guest memory; the control queue is stopped already.</summary>
    internal void Stop()
    {
        for (int i = 0; i < Count; i++)
        {
            _pairs[i]?.Stop();
            _vhost?[i].Stop();
            _pairs[i] = null;
        }
        Attach(1);
    }

    public void Dispose()
    {
        foreach (VhostNet backend in _vhost ?? []) backend.Dispose();
        foreach (EventLoop? loop in _loops) loop?.Dispose();
        foreach (NetTimers? timers in _timers) timers?.Dispose();
        foreach (INetEnd end in _ends) end.Dispose();
    }

    // vhost's queues stay connected, as the ring's position is theirs: what is detached brings no frames.
    private void Attach(int count)
    {
        for (int i = 1; i < Count; i++)
        {
            if (i < count != i < _active) _ends[i].SetAttached(i < count);
        }
        _active = count;
    }

    private NetPair? Make(int i, in ActivationContext context, IVirtioTransport transport, FrameCheck check, ILinkObserver link)
    {
        QueueSetup? receive = context.Queues[2 * i + VirtioNet.ReceiveQueue], transmit = context.Queues[2 * i + VirtioNet.TransmitQueue];
        if (receive is null && transmit is null) return null;
        NetReceiver? receiver = receive is null ? null : new NetReceiver(new Virtqueue(receive, context.Memory), _ends[i], context.Features, _counters[i], _limits?.Receive);
        NetTransmitter? transmitter = transmit is null ? null : new NetTransmitter(new Virtqueue(transmit, context.Memory), _ends[i], check, _counters[i], _limits?.Transmit);
        return new NetPair(LoopOf(i), _ends[i], receiver, transmitter, transport, link, _limits is null ? null : _timers[i] ??= new NetTimers());
    }

    private EventLoop LoopOf(int i) => _loops[i] ??= new EventLoop("virtio-net", Owner);
}
