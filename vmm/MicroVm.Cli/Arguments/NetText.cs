using MicroVm.Devices;
using MicroVm.Virtio.Net;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--net</c>.</summary>
internal static class NetText
{
    internal const string Form = "tap=IF|fd=N[:N]...|socket=PATH|vhost-user=SOCKET|passt[,tcp=PORTS][,udp=PORTS][,queues=N][,mac=M][,mtu=N][,bps=SIZE][,pps=N][,burst=MS][,vhost]";

    internal static DeviceParts Parts(OptionValue value) =>
        new(value, "a network device", Form, "tap", "fd", "socket", "vhost-user", "passt", "user", "tcp", "udp",
            "queues", "mac", "mtu", "bps", "pps", "burst", "vhost")
        {
            Paths = ["socket", "vhost-user"], Repeatable = ["tcp", "udp"],
        };

    internal static NetOptions Parse(OptionValue value)
    {
        DeviceParts parts = Parts(value);
        (NetOptions net, List<string> tcp, List<string> udp) = (new(), [], []);
        foreach ((string key, string? text) in parts)
        {
            switch (key)
            {
                case "tap" when text is { Length: > 0 }: net = net with { Tap = text }; break;
                case "fd" when text is not null: net = net with { Descriptors = Array.ConvertAll(text.Split(':'), n => (int)parts.Number(n, 0, int.MaxValue, "a descriptor")) }; break;
                case "socket" when text is { Length: > 0 }: net = net with { Socket = text }; break;
                case "vhost-user" when text is { Length: > 0 }: net = net with { VhostUser = text }; break;
                case "passt" or "user" when text is null: net = net with { Passt = new() }; break;
                case "tcp" when text is { Length: > 0 }: tcp.Add(text); break;
                case "udp" when text is { Length: > 0 }: udp.Add(text); break;
                case "queues" when text is not null: net = net with { Queues = (int)parts.Number(text, 1, (ulong)VirtioNetConst.MaxPairs, "a number of pairs of queues") }; break;
                case "mac" when text is not null: net = net with { Mac = Mac(text, parts) }; break;
                case "mtu" when text is not null: net = net with { Mtu = (ushort)parts.Number(text, (ulong)VirtioNetConst.MinMtu, ushort.MaxValue, "a largest packet") }; break;
                case "bps" or "pps" or "burst" when text is not null: net = net with { Limits = parts.Limit(net.Limits, key == "pps" ? "iops" : key, text) }; break;
                case "vhost" when text is null: net = net with { Vhost = true }; break;
                default: net = parts.Common(net, key, text); break;
            }
        }
        if (net.Passt is null && tcp.Count + udp.Count > 0) throw parts.Bad("ports lead to a guest through passt only");
        if (net.HostEnds != 1) throw parts.Bad("a network device needs one host end");
        if (net is { VhostUser: not null, Vhost: true })
            throw parts.Bad("vhost and vhost-user both move the frames", "Use one of them");
        if (net.VhostUser is not null && !net.Limits.IsNone)
            throw parts.Bad("a backend holds no frames to a limit", "Remove the limits");
        if (net.Vhost && !net.HasTap) throw parts.Bad("vhost needs a tap");
        if (net.Limits != default && net.Limits.IsNone)
            throw parts.Bad("a burst without its limit", "Use bps=SIZE or pps=N with it");
        if (net.Vhost && !net.Limits.IsNone)
            throw parts.Bad("the host's kernel holds no frames to a limit", "Remove vhost, or limit the tap: tc qdisc");
        if (net.Queues > 1 && net.Tap is null) throw parts.Bad(net.HasTap ? "the descriptors say how many queues there are" : "several queues need a tap");
        return net.Passt is null ? net : net with { Passt = new() { Tcp = tcp, Udp = udp } };
    }

    private static MacAddress Mac(string text, DeviceParts parts) =>
        MacAddress.TryParse(text, out MacAddress mac) ? mac
            : throw parts.Bad("not an address that a device may have",
            "Use six bytes of which the first is even: mac=52:54:00:12:34:56");
}
