using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Block;

/// <summary>A disk. Its I/O runs on a thread of its own, which starts when a driver activates it, so that a slow image holds up nobody else.</summary>
public sealed class VirtioBlockDevice : VirtioDevice
{
    // Header and status take a descriptor each.
    private static readonly int s_segments = VirtioBlock.QueueSizes[0] - 2;

    private readonly FileBackend _disk;
    private EventLoop? _loop;
    private QueueService? _active;

    /// <summary>Makes a disk of an image, which it then owns.</summary>
    public VirtioBlockDevice(FileBackend disk)
        : base("virtio-block", VirtioBlock.DeviceId, Offer(disk), VirtioBlock.QueueSizes, new VirtioBlockConfig(disk.Sectors, (uint)s_segments)) => _disk = disk;

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        if (context.Queues[0] is not { } setup) return;
        bool flushes = (context.Features & (ulong)VirtioBlockFeatures.Flush) != 0;
        _loop ??= new EventLoop("virtio-block");
        _active = new QueueService(_loop, new Virtqueue(setup, context.Memory), new BlockRequests(_disk, s_segments, !flushes), Transport);
        _active.Start();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _active?.Stop();
        _active = null;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _loop?.Dispose();
        _disk.Dispose();
    }

    private static ulong Offer(FileBackend disk)
    {
        VirtioBlockFeatures features = VirtioBlockFeatures.SegMax | VirtioBlockFeatures.BlockSize;
        return (ulong)(features | (disk.ReadOnly ? VirtioBlockFeatures.ReadOnly : VirtioBlockFeatures.Flush));
    }
}
