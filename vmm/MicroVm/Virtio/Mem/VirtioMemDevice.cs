using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Mem;

/// <summary>Memory that the guest gets and gives back in blocks, as the host requests. Served on a thread of its own, for the host takes its time with pages.</summary>
public sealed class VirtioMemDevice : VirtioDevice, IPlacedDevice
{
    private readonly PluggedBlocks _blocks;
    private readonly VirtioMemConfig _config;
    private readonly EventLoop _loop;
    private QueueService? _active;

    /// <summary>Makes a device whose region has no place yet.</summary>
    /// <exception cref="MicroVmException">The sizes do not fit each other.</exception>
    public VirtioMemDevice(MemOptions options) : this(options, new PluggedBlocks(Check(options).SizeBytes, options.BlockBytes))
    {
    }

    private VirtioMemDevice(MemOptions options, PluggedBlocks blocks) : this(blocks, new VirtioMemConfig(blocks, options.RequestedBytes))
    {
    }

    private VirtioMemDevice(PluggedBlocks blocks, VirtioMemConfig config)
        : base("virtio-mem", VirtioMem.DeviceId, (ulong)VirtioMemFeatures.UnpluggedInaccessible, VirtioMem.QueueSizes,
            config) =>
        (_blocks, _config, _loop) = (blocks, config, new EventLoop("virtio-mem", this));

    /// <summary>Bytes that the guest should have of the region.</summary>
    internal ulong Requested => _config.Requested;

    /// <summary>Bytes that it has.</summary>
    internal ulong Plugged => _blocks.PluggedBytes;

    internal PluggedBlocks Blocks => _blocks;

    /// <summary>Asks the guest for another size.</summary>
    /// <exception cref="MicroVmException">More than the region, or no whole blocks.</exception>
    internal void Request(ulong bytes)
    {
        CheckRequest(bytes, _blocks.RegionBytes, _blocks.BlockBytes);
        _config.Requested = bytes;
        ConfigChanged();
    }

    /// <inheritdoc/>
    (ulong Bytes, ulong Alignment) IPlacedDevice.Needs => (_blocks.RegionBytes, GuestMemory.PlugAlignment);

    /// <inheritdoc/>
    void IPlacedDevice.Place(GuestMemory memory) => _blocks.Place(memory);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        if (context.Queues[VirtioMem.RequestQueue] is not { } setup) return;
        _active = new QueueService(_loop, new Virtqueue(setup, context.Memory), new MemRequests(_blocks, _config, Transport), Transport);
        _active.Start();
    }

    /// <summary>Stops serving; what is plugged stays so (5.15.6): the guest's memory does not go with its driver.</summary>
    public override void Reset()
    {
        _active?.Stop();
        _active = null;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _loop.Dispose();
    }

    private static MemOptions Check(MemOptions options)
    {
        if (!ulong.IsPow2(options.BlockBytes) || options.BlockBytes < MemOptions.LeastBlock) throw MicroVmException.Usage("not a size of a block", $"block={options.BlockBytes >> 10}K", "Give a power of two, 2M or more");
        if (options.SizeBytes == 0 || options.SizeBytes % options.BlockBytes != 0) throw MicroVmException.Usage("the memory device is no whole blocks", $"size={options.SizeBytes >> 20}M with block={options.BlockBytes >> 20}M", "Give a multiple of the block");
        if (options.SizeBytes > MachineMap.HighMemory.Length) throw MicroVmException.Usage("that is more memory than the machine's map has", $"size={options.SizeBytes >> 30}G", $"Give at most {MachineMap.HighMemory.Length >> 30}G");
        CheckRequest(options.RequestedBytes, options.SizeBytes, options.BlockBytes);
        return options;
    }

    private static void CheckRequest(ulong bytes, ulong size, ulong block)
    {
        if (bytes > size) throw MicroVmException.Usage("more than the memory device has", $"{bytes >> 20} MiB of {size >> 20}", "Ask for less, or start it with a larger size");
        if (bytes % block != 0) throw MicroVmException.Usage("no whole blocks of the memory device", $"{bytes >> 10} KiB in blocks of {block >> 20} MiB", "Give a multiple of the block");
    }
}
