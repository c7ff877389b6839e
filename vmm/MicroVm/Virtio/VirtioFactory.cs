using System.Text;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Balloon;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Mem;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Pmem;
using MicroVm.Virtio.Rng;
using MicroVm.Virtio.VhostUser;
using MicroVm.Virtio.Vsock;

namespace MicroVm.Virtio;

/// <summary>Makes virtio devices from what the user asked for, when the machine is built and when one is plugged in.</summary>
/// <param name="loop">Serves all quick devices; made with the first of them.</param>
/// <param name="log">Takes notes for the user.</param>
/// <param name="notes">The same, at a limited rate.</param>
/// <param name="cpus">vCPUs that there may be.</param>
/// <param name="owner">Hears of a device's thread that failed.</param>
internal sealed class VirtioFactory(Lazy<EventLoop> loop, OutputPump log, HostNotes notes, int cpus, IThreadOwner owner)
{
    /// <summary>Makes a device, which is then the caller's.</summary>
    /// <exception cref="MicroVmException">What the options name cannot be used.</exception>
    internal VirtioDevice Make(VirtioOptions options)
    {
        VirtioDevice device = Open(options);
        (device.Id, device.Owner) = (options.Id, owner);
        return device;
    }

    private VirtioDevice Open(VirtioOptions options) => options switch
    {
        DiskOptions { VhostUser: true } disk => VhostUserBlockDevice.Open(disk, log),
        FsOptions fs => VhostUserFsDevice.Open(fs, log),
        DiskOptions disk => new VirtioBlockDevice(OpenDisk(disk), disk, log),
        NetOptions net when net.Pairs > cpus => throw MicroVmException.Usage("more pairs of queues than vCPUs", $"--net queues={net.Pairs}, {cpus} vCPUs", "Give at most one pair for each vCPU"),
        NetOptions { VhostUser: not null } net => VhostUserNetDevice.Open(net, log),
        NetOptions net => VirtioNetDevice.Open(net, notes),
        VsockOptions vsock => VirtioVsockDevice.Open(vsock),
        BalloonOptions balloon => new VirtioBalloonDevice(balloon),
        MemOptions mem => new VirtioMemDevice(mem),
        PmemOptions pmem => VirtioPmemDevice.Open(pmem, line => log.Write(Encoding.UTF8.GetBytes(line))),
        RngOptions => new VirtioRngDevice(loop.Value),
        _ => throw new ArgumentException($"{options.GetType().Name} is of no known kind", nameof(options)),
    };

    private FileBackend OpenDisk(DiskOptions disk)
    {
        if (disk.Queues is < 1 or > DiskOptions.MaxQueues) throw MicroVmException.Usage("a disk with an impossible number of queues", $"{disk.Path}: {disk.Queues}", $"Give 1 to {DiskOptions.MaxQueues}");
        if (disk.Engine == DiskEngine.IoUring && IoUring.WhyNot() is var error and not 0)
            throw MicroVmException.Host("the host gives no io_uring", Libc.Describe(error), error is Libc.EMFILE or Libc.ENFILE
                ? "Raise the limit of open files (ulimit -n)" : "Leave aio=io_uring away, or allow it (sysctl kernel.io_uring_disabled, seccomp)");
        FileBackend backend = FileBackend.Open(disk.Path, disk.ReadOnly, disk.Serial);
        if (backend.IgnoredBytes != 0) log.Write(Encoding.UTF8.GetBytes($"microvm: note: the last {backend.IgnoredBytes} bytes of {disk.Path} are no whole block, and the guest does not see them\n"));
        return backend;
    }
}
