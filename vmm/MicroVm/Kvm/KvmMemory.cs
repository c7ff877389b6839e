using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>Gives each part of guest memory a slot of KVM's. vCPUs that run see a change when the call returns.</summary>
internal sealed class KvmMemory(KvmVm vm) : IMemoryListener
{
    private readonly Dictionary<ulong, uint> _slots = [];

    public void Added(in MemoryRegion part) => _slots.Add(part.GuestAddress, vm.AddMemory(part.GuestAddress, part.Length, part.HostAddress, part.ReadOnly));

    public void Removed(in MemoryRegion part)
    {
        if (_slots.Remove(part.GuestAddress, out uint slot)) vm.RemoveMemory(slot);
    }
}
