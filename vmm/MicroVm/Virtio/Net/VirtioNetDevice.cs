using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Vhost;

namespace MicroVm.Virtio.Net;

/// <summary>A network interface whose other end is a tap of the host. Its frames move on a thread of its own, which starts when a driver activates it.</summary>
public sealed class VirtioNetDevice : VirtioDevice, ILinkObserver
{
    private const VirtioNetFeatures GuestOffloads = VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.GuestTso4 | VirtioNetFeatures.GuestTso6 | VirtioNetFeatures.GuestEcn
        | VirtioNetFeatures.CtrlGuestOffloads;
    private const VirtioNetFeatures HostOffloads = VirtioNetFeatures.Checksum | VirtioNetFeatures.HostTso4 | VirtioNetFeatures.HostTso6 | VirtioNetFeatures.HostEcn;

    private readonly HostTap _tap;
    private readonly VirtioNetConfig _config;
    private readonly bool _pinned;
    private readonly VhostNet? _vhost;
    private EventLoop? _loop;
    private NetPair? _pair;
    private QueueService? _control;

    /// <summary>Makes an interface of a tap, which it then owns.</summary>
    internal VirtioNetDevice(HostTap tap, NetOptions options, VhostNet? vhost = null)
        : base("virtio-net", VirtioNet.DeviceId, Offer(tap, options), VirtioNet.QueueSizes, new VirtioNetConfig(options.Mac ?? MacAddress.Random(), options.Mtu ?? 0))
    {
        (_tap, _pinned, _vhost) = (tap, options.Mac is not null, vhost);
        _config = (VirtioNetConfig)Config!;
        if (vhost is not null) Features = vhost.Restrict(Features);
    }

    /// <summary>What went through.</summary>
    public NetCounters Counters { get; } = new();

    /// <summary>The address that the guest reads.</summary>
    public MacAddress Mac => _config.Mac;

    /// <summary>Opens what the options name.</summary>
    /// <exception cref="MicroVmException">The tap cannot be used.</exception>
    public static VirtioNetDevice Open(NetOptions options)
    {
        HostTap tap = options.Descriptor is { } fd ? HostTap.FromDescriptor(fd) : HostTap.Open(options.Tap ?? throw MicroVmException.Usage("a network device without its tap", "--net", "Give tap=NAME or fd=N"));
        try
        {
            return new VirtioNetDevice(tap, options, options.Vhost ? new VhostNet(tap) : null);
        }
        catch
        {
            tap.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        ulong features = context.Features;
        _loop ??= new EventLoop("virtio-net");
        _ = SetOffloads(features & NetControl.OffloadMask);
        if (context.Queues[VirtioNet.ControlQueue] is { } control && (features & (ulong)VirtioNetFeatures.CtrlQueue) != 0)
        {
            _control = new QueueService(_loop, new Virtqueue(control, context.Memory), new NetControl(features, SetAddress, SetOffloads), Transport);
            _control.Start();
        }
        if (_vhost is { } vhost)
        {
            vhost.Start(context, Transport, _loop);
            return;
        }
        NetReceiver? receiver = context.Queues[VirtioNet.ReceiveQueue] is { } r ? new NetReceiver(new Virtqueue(r, context.Memory), _tap, features, Counters) : null;
        NetTransmitter? transmitter = context.Queues[VirtioNet.TransmitQueue] is { } t
            ? new NetTransmitter(new Virtqueue(t, context.Memory), _tap, new FrameCheck(features, _pinned ? _config.Mac : null), Counters) : null;
        _pair = new NetPair(_loop, _tap, receiver, transmitter, Transport, this);
        _pair.Start();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _control?.Stop();
        _pair?.Stop();
        _vhost?.Stop();
        (_control, _pair) = (null, null);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _vhost?.Dispose();
        _loop?.Dispose();
        _tap.Dispose();
    }

    void ILinkObserver.OnTransfer(int error)
    {
        bool up = error == 0 || (_config.LinkUp && error != Libc.EIO && !NetPair.IsFinal(error));
        if (_config.LinkUp != up && _config.SetLink(up)) ConfigChanged();
    }

    private bool SetAddress(MacAddress mac)
    {
        if (_pinned) return false;
        _config.Mac = mac;
        ConfigChanged();
        return true;
    }

    private bool SetOffloads(ulong features)
    {
        VirtioNetFeatures wanted = (VirtioNetFeatures)features;
        TapOffloads offloads = (wanted & VirtioNetFeatures.GuestChecksum) != 0 ? TapOffloads.Checksum : TapOffloads.None;
        // The kernel takes the others with the first only.
        if (offloads != TapOffloads.None)
        {
            if ((wanted & VirtioNetFeatures.GuestTso4) != 0) offloads |= TapOffloads.Tso4;
            if ((wanted & VirtioNetFeatures.GuestTso6) != 0) offloads |= TapOffloads.Tso6;
            if ((wanted & VirtioNetFeatures.GuestEcn) != 0) offloads |= TapOffloads.TsoEcn;
        }
        return _tap.SetOffloads(offloads);
    }

    private static ulong Offer(HostTap tap, NetOptions options)
    {
        VirtioNetFeatures features = VirtioNetFeatures.Mac | VirtioNetFeatures.Status | VirtioNetFeatures.MergeRxBuffers | VirtioNetFeatures.CtrlQueue | VirtioNetFeatures.CtrlRx;
        if (options.Mac is null) features |= VirtioNetFeatures.CtrlMacAddress;
        if (options.Mtu is not null) features |= VirtioNetFeatures.Mtu;
        // A socket's other end gets frames as they are: nobody is there to finish them.
        if (tap.HasOffloads) features |= GuestOffloads | HostOffloads;
        return (ulong)features;
    }
}
