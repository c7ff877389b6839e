using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Virtio.Iommu;

namespace MicroVm.Vfio;

/// <summary>Puts the assigned devices into a machine that is being built.</summary>
internal static class VfioPlug
{
    /// <summary>Makes each device a function on bus 0.</summary>
    /// <param name="host">The devices.</param>
    /// <param name="pci">The buses.</param>
    /// <param name="router">Takes their messages.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="iommu">The guest's IOMMU, or null.</param>
    /// <param name="errors">Where refusals of the host are counted.</param>
    internal static VfioFunction[] Add(VfioHost host, PciHost pci, InterruptRouter router, GuestMemory memory, IommuTable? iommu, GuestErrors errors)
    {
        VfioFunction[] functions = new VfioFunction[host.Devices.Count];
        for (int i = 0; i < functions.Length; i++)
        {
            (HostFunction function, VfioDeviceFile device, IoAddressSpace space) = host.Devices[i];
            PciAddress address = pci.NextAddress();
            if (iommu is not null) iommu.Add(new VfioSpace(address.RequesterId, $"vfio {function.Address}", space, memory));
            functions[i] = new VfioFunction(address, pci.Page(address), function.Address, device, router, pci.Line, errors) { Host = host };
            pci.Plug(functions[i]);
        }
        return functions;
    }
}

/// <summary>Watches for what ends an assignment from the host's side: an error of the device that cannot be recovered, and the wish of the host to have it back.</summary>
internal sealed class VfioEvents : IEventHandler, IDisposable
{
    private readonly EventLoop _loop;
    private readonly List<(EventFd Event, Action Heard)> _watched = [];

    /// <param name="loop">Where it waits.</param>
    /// <param name="host">The devices.</param>
    /// <param name="lost">A device has an error that it cannot recover from: ends the machine, with the reason.</param>
    /// <param name="wanted">The host wants a device back, until it has it.</param>
    internal VfioEvents(EventLoop loop, VfioHost host, Action<string> lost, Action<HostFunction> wanted)
    {
        _loop = loop;
        foreach ((HostFunction function, VfioDeviceFile device, _) in host.Devices)
        {
            Watch(device, VfioAbi.IrqIndex.Error, () => lost($"assigned device {function.Address} reported an error that it cannot recover from"));
            Watch(device, VfioAbi.IrqIndex.Request, () => wanted(function));
        }
    }

    public void OnReady(int token)
    {
        if (_watched[token].Event.Drain() != 0) _watched[token].Heard();
    }

    public void Dispose()
    {
        foreach ((EventFd signal, _) in _watched)
        {
            _loop.Remove(signal.Fd);
            signal.Dispose();
        }
    }

    private void Watch(VfioDeviceFile device, VfioAbi.IrqIndex index, Action heard)
    {
        if (device.InterruptCount(index, out _) == 0) return;
        EventFd signal = new();
        _watched.Add((signal, heard));
        if (device.Connect(index, 0, [signal.Fd]) == 0) _loop.Add(signal.Fd, this, _watched.Count - 1);
    }
}
