using MicroVm.Virtio.Net;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a network device: address, link, largest packet.</summary>
public sealed partial class VirtioNetConfig
{
    private readonly ushort _mtu, _pairs;
    private ulong _mac;
    private int _linkUp = 1;

    /// <summary>Says the address at first, the largest packet, 0 for none, and the pairs of queues.</summary>
    internal VirtioNetConfig(MacAddress mac, ushort mtu, int pairs)
    {
        _mac = mac.Value;
        (_mtu, _pairs) = (mtu, (ushort)pairs);
        Initialize();
    }

    /// <summary>The address now. Any thread.</summary>
    internal MacAddress Mac
    {
        get => new(Volatile.Read(ref _mac));
        set => Volatile.Write(ref _mac, value.Value);
    }

    /// <summary>Whether the host's end works; true if that is news.</summary>
    internal bool SetLink(bool up) => Interlocked.Exchange(ref _linkUp, up ? 1 : 0) != (up ? 1 : 0);

    /// <summary>Whether the link is up.</summary>
    internal bool LinkUp => Volatile.Read(ref _linkUp) != 0;

    private partial byte ReadMac(int index) => Mac[index];

    private partial ushort ReadStatus() => (ushort)(LinkUp ? Bits.StatusLinkUp : 0);

    private partial ushort ReadMaxQueuePairs() => _pairs;

    private partial ushort ReadMtu() => _mtu;
}
