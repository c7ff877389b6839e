using MicroVm.Virtio.Mem;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a memory device: its region, and how much of it should be and is plugged.</summary>
public sealed partial class VirtioMemConfig
{
    private readonly PluggedBlocks _blocks;
    private ulong _requested;

    /// <summary>Says the region.</summary>
    internal VirtioMemConfig(PluggedBlocks blocks, ulong requested)
    {
        (_blocks, _requested) = (blocks, requested);
        Initialize();
    }

    /// <summary>Bytes that should be plugged. Any thread.</summary>
    internal ulong Requested
    {
        get => Volatile.Read(ref _requested);
        set => Volatile.Write(ref _requested, value);
    }

    private partial ulong ReadBlockSize() => _blocks.BlockBytes;

    private partial ulong ReadAddr() => _blocks.Start;

    private partial ulong ReadRegionSize() => _blocks.RegionBytes;

    private partial ulong ReadUsableRegionSize() => _blocks.RegionBytes;

    private partial ulong ReadPluggedSize() => _blocks.PluggedBytes;

    private partial ulong ReadRequestedSize() => Requested;
}
