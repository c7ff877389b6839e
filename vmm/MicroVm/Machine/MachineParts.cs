using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm;

/// <summary>What a machine consists of.</summary>
internal sealed class MachineParts
{
    /// <summary>Gives everything back.</summary>
    internal required OwnedParts Owned { get; init; }
    internal required MachineEnd End { get; init; }
    internal required KvmVm Vm { get; init; }
    internal required GuestMemory Memory { get; init; }
    internal required AccessTrace Trace { get; init; }
    internal required AddressSpace Ports { get; init; }
    internal required AddressSpace Mmio { get; init; }
    internal required InterruptRouter Router { get; init; }
    internal required AcpiGed Ged { get; init; }
    internal required VirtioMmio[] Virtio { get; init; }
    /// <summary>Null where the machine has no PCI.</summary>
    internal required PciHost? Pci { get; init; }
    internal required Vcpu[] Vcpus { get; init; }
    internal required ConsoleAttachment? Serial { get; init; }
    internal required ConsoleAttachment? Console { get; init; }
}

/// <summary>Things to give back, in the opposite order of their making.</summary>
internal sealed class OwnedParts : IDisposable
{
    private readonly Stack<IDisposable> _parts = new();

    internal T Add<T>(T part) where T : IDisposable
    {
        _parts.Push(part);
        return part;
    }

    public void Dispose()
    {
        while (_parts.TryPop(out IDisposable? part)) part.Dispose();
    }
}
