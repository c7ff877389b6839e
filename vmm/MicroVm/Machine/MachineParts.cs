using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Hotplug;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Vfio;
using MicroVm.Virtio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Transport;

namespace MicroVm;

/// <summary>What a machine consists of.</summary>
internal sealed class MachineParts
{
    /// <summary>Gives everything back.</summary>
    internal required OwnedParts Owned { get; init; }
    /// <summary>What the user calls the machine, or null.</summary>
    internal string? Name { get; init; }
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
    /// <summary>Null where nothing can come or go while the guest runs.</summary>
    internal required HotplugUnits? Hotplug { get; init; }
    /// <summary>Null where the machine has no root ports.</summary>
    internal required PciSlots? Slots { get; init; }
    internal required VcpuSet VcpuSet { get; init; }
    /// <summary>Null where the number of CPUs stays.</summary>
    internal required CpuUnits? Cpus { get; init; }
    /// <summary>Null where no DIMMs can come.</summary>
    internal required MemoryUnits? Dimms { get; init; }
    /// <summary>The address spaces of the devices that are assigned now.</summary>
    internal IEnumerable<VfioHost> VfioHosts => (Pci?.Root.Functions ?? []).OfType<VfioFunction>().Select(static f => f.Host).OfType<VfioHost>().Distinct();
    /// <summary>Those that have been made by now, by their ids.</summary>
    internal Vcpu[] Vcpus => VcpuSet.Made;
    /// <summary>Takes notes for the user, or null.</summary>
    internal OutputPump? Log { get; init; }
    /// <summary>How long a reader of the output may take nothing at the end.</summary>
    internal TimeSpan OutputPatience { get; init; }
    internal required ConsoleAttachment? Serial { get; init; }
    internal required ConsoleAttachment? Console { get; init; }
    /// <summary>The console device; null where there is neither a console nor a named port.</summary>
    internal required VirtioConsoleDevice? ConsoleDevice { get; init; }
    /// <summary>The host's ends of the named ports.</summary>
    internal required ConsoleAttachment[] ConsolePorts { get; init; }

    /// <summary>The host's ends of the serial port, the console and the named ports.</summary>
    internal IEnumerable<ConsoleAttachment> Attachments =>
        new[] { Serial, Console }.OfType<ConsoleAttachment>().Concat(ConsolePorts);

    /// <summary>The virtio devices that there are now, however attached.</summary>
    internal IEnumerable<TransportCore> Cores
    {
        get
        {
            foreach (VirtioMmio mmio in Virtio) yield return mmio.Core;
            foreach (PciFunction function in Pci?.Root.Functions ?? [])
            {
                if (function is VirtioPciFunction virtio) yield return virtio.Common.Core;
            }
        }
    }

    /// <summary>The first virtio device of a kind, or null.</summary>
    internal T? Find<T>() where T : VirtioDevice
    {
        foreach (TransportCore core in Cores)
        {
            if (core.Device is T device) return device;
        }
        return null;
    }
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
