using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Vhost;

namespace MicroVm.Virtio.Vsock;

/// <summary>Sockets between guest and host: through sockets in the file system, served on a thread of its own, or through the host's kernel.</summary>
public sealed class VirtioVsockDevice : VirtioDevice
{
    private readonly uint _cid;
    private readonly VsockHost? _host;
    private readonly VhostVsock? _vhost;
    private EventLoop? _loop;
    private VsockMuxer? _active;

    private VirtioVsockDevice(uint cid, VsockHost? host, VhostVsock? vhost)
        : base("virtio-vsock", VirtioVsock.DeviceId, (ulong)VirtioVsockFeatures.Stream, VirtioVsock.QueueSizes, new VirtioVsockConfig(cid))
    {
        (_cid, _host, _vhost) = (cid, host, vhost);
        if (vhost is not null) Features = vhost.Restrict(Features);
    }

    /// <summary>Makes the host's end and the device.</summary>
    /// <exception cref="MicroVmException">The address is none, the path cannot be listened at, or the kernel's backend is missing or has the address already.</exception>
    public static VirtioVsockDevice Open(VsockOptions options)
    {
        if (options.Cid is < (uint)VirtioVsockConst.FirstGuestCid or > (uint)VirtioVsockConst.LastGuestCid)
            throw MicroVmException.Usage("not an address that a guest may have", $"cid={options.Cid}", $"Give {VirtioVsockConst.FirstGuestCid} to {VirtioVsockConst.LastGuestCid}");
        return options.Socket is { } path ? new VirtioVsockDevice(options.Cid, VsockHost.Listen(path), null) : new VirtioVsockDevice(options.Cid, null, new VhostVsock(options.Cid));
    }

    /// <summary>Connections that are open.</summary>
    internal int Connections => _active?.Count ?? 0;

    internal override bool UsesQueuesOnly => _vhost is null;

    /// <inheritdoc/>
    internal override HostSide Host =>
        _host is { } host ? HostSide.Of(host.Path, null, Name) : new(null, "vhost-vsock", Name);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        _loop ??= new EventLoop(Name, this);
        if (_vhost is { } vhost)
        {
            vhost.Start(context, Transport, _loop);
            return;
        }
        if (context.Queues[VirtioVsock.ReceiveQueue] is not { } receive || context.Queues[VirtioVsock.TransmitQueue] is not { } transmit) return;
        _active = new VsockMuxer(_cid, _host!, new Queue.Virtqueue(receive, context.Memory), new Queue.Virtqueue(transmit, context.Memory), _loop, Transport);
        _active.Start();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _active?.Stop();
        _active = null;
        _vhost?.Stop();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _loop?.Dispose();
        _host?.Dispose();
        _vhost?.Dispose();
    }
}
