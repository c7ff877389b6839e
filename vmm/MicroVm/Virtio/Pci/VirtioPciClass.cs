using MicroVm.Devices;

namespace MicroVm.Virtio.Pci;

/// <summary>Class codes by which a guest without a virtio driver sorts the device (Virtio 1.2, 4.1.2.1 leaves them open).</summary>
internal static class VirtioPciClass
{
    internal static uint Of(uint deviceId) => deviceId switch
    {
        VirtioBlock.DeviceId => (uint)PciClass.MassStorage,
        VirtioNet.DeviceId => (uint)PciClass.Ethernet,
        VirtioConsole.DeviceId => (uint)PciClass.Communication,
        _ => (uint)PciClass.Other,
    };
}
