using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Net;

namespace MicroVm.Virtio.VhostUser;

/// <summary>A network interface whose frames a backend moves, such as a switch in user space. Address, largest packet and link are this side's; without a backend the link is down.</summary>
internal sealed class VhostUserNetDevice : VhostUserDevice
{
    // Between the rings and whoever reads them. A control queue would have to be served here, and everything that needs one is left out.
    private const VirtioNetFeatures Passed = VirtioNetFeatures.Checksum | VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.MergeRxBuffers
        | VirtioNetFeatures.GuestTso4 | VirtioNetFeatures.GuestTso6 | VirtioNetFeatures.GuestEcn | VirtioNetFeatures.GuestUfo
        | VirtioNetFeatures.HostTso4 | VirtioNetFeatures.HostTso6 | VirtioNetFeatures.HostEcn | VirtioNetFeatures.HostUfo;

    private readonly VirtioNetConfig _config;

    private VhostUserNetDevice(NetOptions options, BackendKeeper keeper, VirtioNetConfig config)
        : base("virtio-net", VirtioNet.DeviceId, Own(options), (ulong)Passed, VirtioNet.QueueSizes[..VirtioNet.ControlQueue], config, keeper) => _config = config;

    /// <summary>Connects to the backend.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="log">Takes notes for the user.</param>
    /// <param name="patience">Milliseconds that a backend has for each answer of weight.</param>
    /// <exception cref="MicroVmException">Nobody listens, or nobody who speaks the protocol.</exception>
    internal static VhostUserNetDevice Open(NetOptions options, OutputPump log, int patience = BackendSession.Patience)
    {
        BackendNeeds needs = new("virtio-net", options.VhostUser!, VhostUserProtocol.Inflight, 0, $"a vhost-user switch that listens at {options.VhostUser}");
        return Make(BackendKeeper.Open(needs, log, patience), keeper => new VhostUserNetDevice(options, keeper, new VirtioNetConfig(options.Mac ?? MacAddress.Random(), options.Mtu ?? 0, 1)));
    }

    /// <inheritdoc/>
    public override void OnBackend(bool present)
    {
        if (_config.SetLink(present)) ConfigChanged();
    }

    private static ulong Own(NetOptions options) =>
        (ulong)(VirtioNetFeatures.Mac | VirtioNetFeatures.Status | (options.Mtu is null ? 0 : VirtioNetFeatures.Mtu));
}
