using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Vfio;

/// <summary>A device that the host can have back while the machine runs: with an I/O address space and a map of the guest's memory of its own, which go with it.</summary>
/// <param name="loop">Where the host's events are waited for.</param>
/// <param name="vm">Is told of the devices.</param>
/// <param name="memory">What the devices reach.</param>
/// <param name="router">Takes their messages.</param>
/// <param name="errors">Where refusals of the host are counted.</param>
/// <param name="unsafeInterrupts">Also on a host that has said that it goes without interrupt remapping.</param>
/// <param name="lost">Ends the machine, with the reason: a device has an error that it cannot recover from.</param>
/// <param name="wanted">The host wants the device at this address of the guest back. On the loop's thread; does not wait.</param>
internal sealed class VfioAssignment(EventLoop loop, KvmVm vm, GuestMemory memory, InterruptRouter router, GuestErrors errors, bool unsafeInterrupts, Action<string> lost, Action<PciAddress> wanted)
{
    /// <summary>Opens a device and makes it a function.</summary>
    /// <param name="device">The device: <see cref="DeviceRequest"/>.</param>
    /// <param name="address">Where it is plugged in.</param>
    /// <param name="page">Its configuration space.</param>
    /// <param name="line">Takes its interrupts where the guest uses no messages.</param>
    /// <exception cref="MicroVmException">It cannot be assigned; the message says why and what to do.</exception>
    internal VfioFunction Open(string device, PciAddress address, ResidentPage page, IntxLine? line)
    {
        VfioHost host = VfioHost.Open([device], unsafeInterrupts, apart: false);
        OwnedParts owned = new();
        owned.Add(host);
        try
        {
            host.Map(memory, vm);
            (HostFunction function, VfioDeviceFile file, _) = host.Devices[0];
            owned.Add(new VfioEvents(loop, host, lost, _ => wanted(address)));
            return new VfioFunction(address, page, function.Address, file, router, line, errors) { Owned = owned, Host = host };
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }
}
