using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Vhost;

namespace MicroVm.Virtio.Net;

/// <summary>A network interface. Its frames move on a thread of its own, which starts when a driver activates it.</summary>
public sealed class VirtioNetDevice : VirtioDevice, ILinkObserver
{
    private const VirtioNetFeatures GuestOffloads = VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.GuestTso4 | VirtioNetFeatures.GuestTso6 | VirtioNetFeatures.GuestEcn
        | VirtioNetFeatures.CtrlGuestOffloads;
    private const VirtioNetFeatures HostOffloads = VirtioNetFeatures.Checksum | VirtioNetFeatures.HostTso4 | VirtioNetFeatures.HostTso6 | VirtioNetFeatures.HostEcn;

    private readonly NetPairs _pairs;
    private readonly VirtioNetConfig _config;
    private readonly HostNotes? _notes;
    private readonly LinkWatch _watch;
    private readonly bool _pinned;
    private QueueService? _control;

    /// <summary>Makes an interface of a host's end, which it then owns.</summary>
    private VirtioNetDevice(NetPairs pairs, NetOptions options, HostNotes? notes)
        : base("virtio-net", VirtioNet.DeviceId, Offer(pairs, options), QueuesOf(pairs.Count), new VirtioNetConfig(options.Mac ?? MacAddress.Random(), options.Mtu ?? 0, pairs.Count))
    {
        (_pairs, _pinned, _notes) = (pairs, options.Mac is not null, notes);
        pairs.Owner = this;
        _config = (VirtioNetConfig)Config!;
        _watch = new LinkWatch(pairs.End, this);
        Features = pairs.Restrict(Features);
    }

    /// <summary>What went through.</summary>
    public NetCounters Counters => _pairs.Counters;

    /// <summary>Pairs of queues in use.</summary>
    internal int ActivePairs => _pairs.Active;

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, long Value)> Counts =>
    [
        ("received", Counters.Received), ("sent", Counters.Sent), ("receiveDrops", Counters.ReceiveDrops), ("sendDrops", Counters.SendDrops), ("badFrames", Counters.BadFrames),
    ];

    /// <summary>The address that the guest reads.</summary>
    public MacAddress Mac => _config.Mac;

    /// <summary>Opens what the options name.</summary>
    /// <param name="options">What the user asked for.</param>
    /// <param name="notes">Told when the host's end fails and works again, or null.</param>
    /// <exception cref="MicroVmException">The host's end cannot be used.</exception>
    internal static VirtioNetDevice Open(NetOptions options, HostNotes? notes = null)
    {
        NetPairs pairs = new(NetEnds.Open(options), options.Vhost, options.Limits);
        try
        {
            return new VirtioNetDevice(pairs, options, notes);
        }
        catch
        {
            pairs.Dispose();
            throw;
        }
    }

    internal override bool UsesQueuesOnly => !_pairs.IsInKernel;

    /// <inheritdoc/>
    internal override HostSide Host =>
        new(_pairs.End.Name, _pairs.IsInKernel ? "vhost-net" : _pairs.End is StreamEnd ? "a program at a socket"
        : "tap", Name);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        ulong features = context.Features;
        _ = SetOffloads(features & NetControl.OffloadMask);
        _pairs.Start(context, Transport, new FrameCheck(features, _pinned ? _config.Mac : null), this);
        // 5.1.2: the control queue is behind all pairs if the driver knows that there are several, and behind the first if not.
        int control = (features & (ulong)VirtioNetFeatures.MultiQueue) != 0 ? QueueSizes.Length - 1 : VirtioNet.ControlQueue;
        if (context.Queues[control] is { } queue && (features & (ulong)VirtioNetFeatures.CtrlQueue) != 0)
        {
            _control = new QueueService(_pairs.Loop, new Virtqueue(queue, context.Memory), new NetControl(features, SetAddress, SetOffloads, _pairs.Use), Transport);
            _control.Start();
        }
        _watch.Start(_pairs.Loop);
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        if (_pairs.LoopIfMade is { } loop) _watch.Stop(loop);
        // First: it starts and stops pairs.
        _control?.Stop();
        _control = null;
        _pairs.Stop();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _watch.Dispose();
        _pairs.Dispose();
    }

    void ILinkObserver.OnTransfer(int error)
    {
        bool fails = error == Libc.EIO || NetPair.IsFinal(error);
        if (fails ? !_config.LinkUp : error != 0 || _config.LinkUp) return;
        // What a transfer met may be over by now; who can ask does.
        if (!_watch.Works) SetLink(error);
        else if (fails) _watch.Ask();
    }

    void ILinkObserver.OnState(int error) => SetLink(error);

    private void SetLink(int error)
    {
        bool up = error == 0;
        if (_config.LinkUp == up || !_config.SetLink(up)) return;
        string what = up ? "works again; the guest's link is up" : $"{(NetPair.IsFinal(error) ? "is gone" : "is down")} ({Libc.Describe(error)}); so is the guest's link";
        _notes?.Say($"{Name} on {_pairs.End.Name}: the host's end {what}");
        ConfigChanged();
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
            // The kernel takes both or none.
            const VirtioNetFeatures Datagrams = VirtioNetFeatures.GuestUso4 | VirtioNetFeatures.GuestUso6;
            if ((wanted & Datagrams) == Datagrams) offloads |= TapOffloads.Uso4 | TapOffloads.Uso6;
        }
        return _pairs.End.SetOffloads(offloads);
    }

    private static ulong Offer(NetPairs pairs, NetOptions options)
    {
        VirtioNetFeatures features = VirtioNetFeatures.Mac | VirtioNetFeatures.Status | VirtioNetFeatures.MergeRxBuffers | VirtioNetFeatures.CtrlQueue | VirtioNetFeatures.CtrlRx;
        if (options.Mac is null) features |= VirtioNetFeatures.CtrlMacAddress;
        if (options.Mtu is not null) features |= VirtioNetFeatures.Mtu;
        if (pairs.Count > 1) features |= VirtioNetFeatures.MultiQueue;
        if (pairs.End.HasOffloads) features |= GuestOffloads | HostOffloads;
        if (pairs.End.HasDatagramOffload) features |= VirtioNetFeatures.GuestUso4 | VirtioNetFeatures.GuestUso6 | VirtioNetFeatures.HostUso;
        return (ulong)features;
    }

    private static ushort[] QueuesOf(int pairs)
    {
        ReadOnlySpan<ushort> one = VirtioNet.QueueSizes;
        ushort[] sizes = new ushort[2 * pairs + 1];
        for (int i = 0; i < pairs; i++) (sizes[2 * i], sizes[2 * i + 1]) = (one[VirtioNet.ReceiveQueue], one[VirtioNet.TransmitQueue]);
        sizes[^1] = one[VirtioNet.ControlQueue];
        return sizes;
    }
}
