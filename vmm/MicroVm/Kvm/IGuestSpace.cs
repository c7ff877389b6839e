namespace MicroVm.Kvm;

/// <summary>The guest's address space as PCI changes it when a BAR moves.</summary>
/// <remarks>In a machine it is <see cref="KvmVm"/>, and each member a system call; tests of what a guest does to PCI
/// have one of their own.</remarks>
internal interface IGuestSpace
{
    /// <inheritdoc cref="KvmVm.AddMemory"/>
    uint AddMemory(ulong guestAddress, ulong length, nint hostAddress, bool readOnly = false);

    /// <inheritdoc cref="KvmVm.RemoveMemory"/>
    void RemoveMemory(uint slot);

    /// <inheritdoc cref="KvmVm.AddIoEventFd"/>
    void AddIoEventFd(ulong address, uint length, ulong? match, int eventFd);

    /// <inheritdoc cref="KvmVm.RemoveIoEventFd"/>
    void RemoveIoEventFd(ulong address, uint length, ulong? match, int eventFd);
}
