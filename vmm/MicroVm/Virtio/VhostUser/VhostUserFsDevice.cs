using System.Text;
using MicroVm.Devices;
using MicroVm.Events;

namespace MicroVm.Virtio.VhostUser;

/// <summary>A folder of the host in the guest (virtio-fs), served by a backend such as virtiofsd: <c>mount -t virtiofs TAG /mnt</c>.</summary>
internal sealed class VhostUserFsDevice : VhostUserDevice
{
    /// <summary>Most queues for requests.</summary>
    internal const int MaxRequestQueues = 64;

    private VhostUserFsDevice(FsOptions options, BackendKeeper keeper)
        : base("virtio-fs", VirtioFs.DeviceId, 0, 0, Sizes(options.RequestQueues), new VirtioFsConfig(options.Tag, options.RequestQueues), keeper) { }

    /// <summary>Connects to the backend.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="log">Takes notes for the user.</param>
    /// <param name="patience">Milliseconds that a backend has for each answer of weight.</param>
    /// <exception cref="MicroVmException">The options cannot be, or nobody listens.</exception>
    internal static VhostUserFsDevice Open(FsOptions options, OutputPump log, int patience = BackendSession.Patience)
    {
        int length = Encoding.UTF8.GetByteCount(options.Tag);
        if (length is 0 or > VirtioFsConst.TagLength) throw MicroVmException.Usage("not a tag that a file system may have", $"tag={options.Tag}", $"Give 1 to {VirtioFsConst.TagLength} bytes");
        if (options.RequestQueues is < 1 or > MaxRequestQueues) throw MicroVmException.Usage("not a number of queues", $"queues={options.RequestQueues}", $"Give 1 to {MaxRequestQueues}");
        BackendNeeds needs = new("virtio-fs", options.Socket, VhostUserProtocol.Inflight, 0, $"virtiofsd --socket-path={options.Socket} -o source=FOLDER");
        return Make(BackendKeeper.Open(needs, log, patience), keeper => new VhostUserFsDevice(options, keeper));
    }

    private static ushort[] Sizes(int requestQueues)
    {
        ushort[] sizes = new ushort[1 + requestQueues];
        Array.Fill(sizes, VirtioFs.QueueSizes[VirtioFs.RequestQueue]);
        sizes[VirtioFs.HighPriorityQueue] = VirtioFs.QueueSizes[VirtioFs.HighPriorityQueue];
        return sizes;
    }
}
