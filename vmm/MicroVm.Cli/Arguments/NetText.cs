using MicroVm.Devices;
using MicroVm.Virtio.Net;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--net</c>.</summary>
internal static class NetText
{
    internal const string Form = "tap=IF|fd=N[,mac=M][,mtu=N][,vhost]";

    internal static NetOptions Parse(OptionValue value)
    {
        DeviceParts parts = new(value, "a network device", Form, "tap", "fd", "mac", "mtu", "vhost");
        NetOptions net = new();
        foreach ((string key, string? text) in parts)
        {
            net = key switch
            {
                "tap" when text is { Length: > 0 } => net with { Tap = text },
                "fd" when text is not null => net with { Descriptor = (int)parts.Number(text, 0, int.MaxValue, "a descriptor") },
                "mac" when text is not null => net with { Mac = Mac(text, parts) },
                "mtu" when text is not null => net with { Mtu = (ushort)parts.Number(text, (ulong)VirtioNetConst.MinMtu, ushort.MaxValue, "a largest packet") },
                "vhost" when text is null => net with { Vhost = true },
                _ => parts.Common(net, key, text),
            };
        }
        return net.Tap is null != net.Descriptor is null ? net : throw parts.Bad("a network device needs one tap");
    }

    private static MacAddress Mac(string text, DeviceParts parts) =>
        MacAddress.TryParse(text, out MacAddress mac) ? mac : throw parts.Bad("not an address that a device may have", "Give six bytes of which the first is even: mac=52:54:00:12:34:56");
}
