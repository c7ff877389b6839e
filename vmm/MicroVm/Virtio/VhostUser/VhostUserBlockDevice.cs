using System.Buffers.Binary;
using MicroVm.Devices;
using MicroVm.Events;

namespace MicroVm.Virtio.VhostUser;

/// <summary>A disk of any format, served by a backend such as qemu-storage-daemon, whose configuration space the guest sees.</summary>
internal sealed class VhostUserBlockDevice : VhostUserDevice
{
    // All but the choice of a cache mode: a driver that does not have it flushes, whatever the backend says of its cache (docs/decisions/0073).
    private const ulong Passed = ~(ulong)VirtioBlockFeatures.ConfigWce;

    private readonly VhostUserBlockConfig _config;

    private VhostUserBlockDevice(BackendKeeper keeper, int queues, VhostUserBlockConfig config)
        : base("virtio-block", VirtioBlock.DeviceId, 0, Passed, Sizes(queues), config, keeper) => _config = config;

    /// <summary>Connects to the backend.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="log">Takes notes for the user.</param>
    /// <param name="patience">Milliseconds that a backend has for each answer of weight.</param>
    /// <exception cref="MicroVmException">Nobody listens, or no disk's backend.</exception>
    internal static VhostUserBlockDevice Open(DiskOptions options, OutputPump log, int patience = BackendSession.Patience)
    {
        BackendNeeds needs = new("virtio-block", options.Path, VhostUserProtocol.Inflight | VhostUserProtocol.BackendRequests, (int)VhostUserBlockConfig.Size,
            $"qemu-storage-daemon --blockdev driver=qcow2,node-name=d,file.driver=file,file.filename=IMAGE --export vhost-user-blk,id=e,node-name=d,writable=on,addr.type=unix,addr.path={options.Path}");
        return Make(BackendKeeper.Open(needs, log, patience), static keeper =>
        {
            int queues = (keeper.Features & (ulong)VirtioBlockFeatures.MultiQueue) == 0 ? 1
                : Math.Clamp((int)BinaryPrimitives.ReadUInt16LittleEndian(keeper.Config[VhostUserBlockConfig.QueuesOffset..]), 1, DiskOptions.MaxQueues);
            return new VhostUserBlockDevice(keeper, queues, new VhostUserBlockConfig(keeper.Config, queues));
        });
    }

    /// <inheritdoc/>
    public override void OnConfig(ReadOnlySpan<byte> config)
    {
        if (_config.Take(config)) ConfigChanged();
    }

    private static ushort[] Sizes(int queues)
    {
        ushort[] sizes = new ushort[queues];
        Array.Fill(sizes, VirtioBlock.QueueSizes[0]);
        return sizes;
    }
}
