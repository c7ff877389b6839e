using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Vhost;

/// <summary>A pair of data queues of a network device in the host's kernel. Doorbell, ring, tap and interrupt are connected there; this process is not involved until the reset.</summary>
internal sealed class VhostNet : IDisposable, IEventHandler
{
    private readonly VhostBackend _backend = VhostBackend.Open("/dev/vhost-net", "vhost_net");
    private readonly INetEnd _end;
    private readonly int _first;
    private readonly EventFd _broken = new();
    private Running? _running;

    internal VhostNet(INetEnd end, int pair) => (_end, _first) = (end, 2 * pair);

    /// <summary>Of the features of a device those that this backend serves as well.</summary>
    internal ulong Restrict(ulong offered)
    {
        // These are between the rings and whoever reads them; the others are the tap's or the control queue's.
        ulong rings = (ulong)(VirtioFeatures.Version1 | VirtioFeatures.RingIndirectDesc | VirtioFeatures.RingEventIdx) | (ulong)VirtioNetFeatures.MergeRxBuffers;
        return offered & ~(rings & ~_backend.Features);
    }

    /// <summary>Starts the queues that the driver set up. The loop hears of a broken ring.</summary>
    internal void Start(in ActivationContext context, IVirtioTransport transport, EventLoop loop)
    {
        _backend.Prepare(context.Memory, context.Features & _backend.Features);
        _running = new Running(transport, loop);
        _ = _broken.Drain();
        loop.Add(_broken.Fd, this);
        foreach (int index in (ReadOnlySpan<int>)[VirtioNet.ReceiveQueue, VirtioNet.TransmitQueue])
        {
            if (context.Queues[_first + index] is not { } queue) continue;
            _backend.SetQueue(index, queue, transport.CallEvent(_first + index), _broken);
            _backend.SetNetBackend(index, _end.Fd);
        }
    }

    /// <summary>When this returns the kernel touches neither guest memory nor events of this device.</summary>
    internal void Stop()
    {
        if (_running is not { } running) return;
        running.Loop.Remove(_broken.Fd);
        _backend.StopNet(VirtioNet.ReceiveQueue);
        _backend.StopNet(VirtioNet.TransmitQueue);
        _backend.Forget();
        _running = null;
    }

    public void OnReady(int token)
    {
        if (_running is not { } running) return;
        _ = _broken.Drain();
        running.Transport.QueueBroken(_first + VirtioNet.TransmitQueue, QueueFault.Backend);
    }

    public void Dispose()
    {
        Stop();
        _backend.Dispose();
        _broken.Dispose();
    }

    private sealed record Running(IVirtioTransport Transport, EventLoop Loop);
}
