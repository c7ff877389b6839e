using System.Text;
using MicroVm.Events;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Rng;
using MicroVm.Virtio.Vsock;

namespace MicroVm.Virtio;

/// <summary>Makes virtio devices from what the user asked for, when the machine is built and when one is plugged in.</summary>
/// <param name="loop">Serves all quick devices; made with the first of them.</param>
/// <param name="log">Takes notes for the user.</param>
internal sealed class VirtioFactory(Lazy<EventLoop> loop, OutputPump log)
{
    /// <summary>Makes a device, which is then the caller's.</summary>
    /// <exception cref="MicroVmException">What the options name cannot be used.</exception>
    internal VirtioDevice Make(VirtioOptions options)
    {
        VirtioDevice device = Open(options);
        device.Id = options.Id;
        return device;
    }

    private VirtioDevice Open(VirtioOptions options) => options switch
    {
        DiskOptions disk => new VirtioBlockDevice(OpenDisk(disk)),
        NetOptions net => VirtioNetDevice.Open(net),
        VsockOptions vsock => VirtioVsockDevice.Open(vsock),
        RngOptions => new VirtioRngDevice(loop.Value),
        _ => throw new ArgumentException($"{options.GetType().Name} is of no known kind", nameof(options)),
    };

    private FileBackend OpenDisk(DiskOptions disk)
    {
        FileBackend backend = FileBackend.Open(disk.Path, disk.ReadOnly, disk.Serial);
        if (backend.IgnoredBytes != 0) log.Write(Encoding.UTF8.GetBytes($"microvm: note: the last {backend.IgnoredBytes} bytes of {disk.Path} are no whole sector, and the guest does not see them\n"));
        return backend;
    }
}
