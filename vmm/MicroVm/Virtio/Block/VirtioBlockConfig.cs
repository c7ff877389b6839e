using System.Numerics;
using MicroVm.Virtio.Block;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a disk, and the mode of the cache that it chooses.</summary>
public sealed partial class VirtioBlockConfig
{
    private readonly FileBackend _disk;
    private readonly ushort _queues;

    /// <summary>Shows a disk with so many queues.</summary>
    internal VirtioBlockConfig(FileBackend disk, int queues)
    {
        _disk = disk;
        _queues = (ushort)queues;
        Initialize();
    }

    /// <summary>Writes may wait in the host's cache until a flush. Any thread.</summary>
    internal bool WritesBack => Volatile.Read(ref _r.Writeback) != 0;

    /// <summary>Back to what it was at first; true if that is a change.</summary>
    internal bool Reset()
    {
        bool changed = !WritesBack;
        ResetRegisters();
        return changed;
    }

    private uint Block => _disk.Blocks.Logical;

    private partial ulong ReadCapacity() => _disk.Sectors;

    private partial uint ReadSegMax() => (uint)BlockDisk.Segments;

    private partial uint ReadBlockSize() => Block;

    private partial byte ReadPhysicalBlockExp() => (byte)BitOperations.Log2(_disk.Blocks.Physical / Block);

    private partial ushort ReadMinIoSize() => (ushort)Math.Min(ushort.MaxValue, _disk.Blocks.Physical / Block);

    private partial uint ReadOptIoSize() => _disk.Blocks.Optimal / Block;

    private partial ushort ReadNumQueues() => _queues;

    private partial uint ReadMaxDiscard() => VirtioBlockConst.MaxDiscardSectors;

    private partial uint ReadDiscardAlignment() => _disk.Blocks.Freed / VirtioBlockConst.SectorSize;

    private partial byte ReadMayUnmap() => (byte)(_disk.CanDiscard ? 1 : 0);

    private partial uint ReadMaxWriteZeroes() => VirtioBlockConst.MaxWriteZeroesSectors;
}
