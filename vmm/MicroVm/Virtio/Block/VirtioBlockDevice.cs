using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Block;

/// <summary>A disk. Each of its queues has a thread of its own, which starts when a driver activates it, so that a slow image holds up nobody else.</summary>
public sealed class VirtioBlockDevice : VirtioDevice
{
    private readonly FileBackend _file;
    private readonly VirtioBlockConfig _config;
    private readonly BlockDisk _disk;
    private readonly EventLoop?[] _loops;
    private readonly List<BlockQueue> _active = [];

    /// <summary>Makes a disk of an image, which it then owns.</summary>
    /// <param name="file">The image.</param>
    /// <param name="options">Number of queues, limits, engine; null for what holds where nothing is said.</param>
    /// <param name="log">Takes notes for the user, or null.</param>
    public VirtioBlockDevice(FileBackend file, DiskOptions? options = null, OutputPump? log = null)
        : base("virtio-block", VirtioBlock.DeviceId, Offer(file, options), Sizes(options), new VirtioBlockConfig(file, options?.Queues ?? 1))
    {
        _file = file;
        _config = (VirtioBlockConfig)Config!;
        _disk = new BlockDisk(file, _config, RateLimiter.Of(options?.Limits ?? default), options?.Engine ?? DiskEngine.Auto, new BlockErrors(file.Path, log));
        _loops = new EventLoop?[QueueSizes.Length];
    }

    /// <summary>Requests that the host failed, so far.</summary>
    public long HostErrors => _disk.Errors.Count;

    internal override bool UsesQueuesOnly => true;

    /// <inheritdoc/>
    internal override HostSide Host => HostSide.Of(_file.Path, _disk.EngineName, Name);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        for (int i = 0; i < _loops.Length; i++)
        {
            if (context.Queues[i] is not { } setup) continue;
            EventLoop loop = _loops[i] ??= new EventLoop(Name, this);
            BlockQueue queue = new(loop, new Virtqueue(setup, context.Memory), _disk, context.Features, Transport);
            _active.Add(queue);
            queue.Start();
        }
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        foreach (BlockQueue queue in _active) queue.Stop();
        _active.Clear();
        if (_config.Reset()) ConfigChanged();
    }

    /// <summary>Makes the image longer, or takes over the size that it was given from outside, and tells the driver; from any thread.</summary>
    /// <param name="bytes">The new size, or null.</param>
    /// <exception cref="MicroVmException">It would become smaller, or the host refused.</exception>
    public void Resize(ulong? bytes)
    {
        _file.Resize(bytes);
        ConfigChanged();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        foreach (EventLoop? loop in _loops) loop?.Dispose();
        _file.Dispose();
    }

    private static ushort[] Sizes(DiskOptions? options)
    {
        ushort[] sizes = new ushort[options?.Queues ?? 1];
        Array.Fill(sizes, VirtioBlock.QueueSizes[0]);
        return sizes;
    }

    private static ulong Offer(FileBackend disk, DiskOptions? options)
    {
        VirtioBlockFeatures features = VirtioBlockFeatures.SegMax | VirtioBlockFeatures.BlockSize | VirtioBlockFeatures.Topology;
        if (options is { Queues: > 1 }) features |= VirtioBlockFeatures.MultiQueue;
        if (disk.ReadOnly) return (ulong)(features | VirtioBlockFeatures.ReadOnly);
        features |= VirtioBlockFeatures.Flush | VirtioBlockFeatures.ConfigWce | VirtioBlockFeatures.WriteZeroes;
        return (ulong)(disk.CanDiscard ? features | VirtioBlockFeatures.Discard : features);
    }
}
