using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Rng;

/// <summary>A source of randomness.</summary>
/// <param name="loop">Where its requests run, shared with other quick devices. No handler of it may take a block's gate.</param>
public sealed class VirtioRngDevice(EventLoop loop) : VirtioDevice("virtio-rng", VirtioRng.DeviceId, 0, VirtioRng.QueueSizes, config: null)
{
    private readonly RngRequests _requests = new();
    private QueueService? _active;

    internal override bool UsesQueuesOnly => true;

    /// <inheritdoc/>
    internal override HostSide Host => new(null, null, loop.Name);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        if (context.Queues[0] is not { } setup) return;
        _active = new QueueService(loop, new Virtqueue(setup, context.Memory), _requests, Transport);
        _active.Start();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _active?.Stop();
        _active = null;
    }
}
