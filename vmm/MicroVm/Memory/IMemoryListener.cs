namespace MicroVm.Memory;

/// <summary>Follows what the guest has as memory: KVM's slots, the IOMMU, backends outside of this process. Called under the lock of changes, one change at a time, on whatever thread makes it.</summary>
/// <remarks>Must take neither a block's gate nor an event loop's lock: those who hold one wait for a change.</remarks>
internal interface IMemoryListener
{
    /// <summary>Most pieces that it takes, parts that touch as one.</summary>
    int MostRegions => int.MaxValue;

    /// <summary>The guest gets this memory; its bytes can be reached already.</summary>
    /// <exception cref="MicroVmException">The host refuses; the change is then undone, also where others have heard of it.</exception>
    void Added(in MemoryRegion part) { }

    /// <summary>The guest loses what <see cref="Added"/> was told of. The host memory stays valid, whatever still writes there.</summary>
    void Removed(in MemoryRegion part) { }

    /// <summary>After each change, and once in the beginning: all there is now, in the order of addresses, parts that touch as one.</summary>
    /// <exception cref="MicroVmException">The host refuses; memory that came is then taken out again, memory that goes is gone.</exception>
    void Changed(ReadOnlySpan<MemoryRegion> regions) { }
}
