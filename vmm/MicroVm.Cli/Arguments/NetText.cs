using System.Globalization;
using MicroVm.Devices;
using MicroVm.Virtio.Net;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--net</c>: parts between commas.</summary>
internal static class NetText
{
    private const string Form = "Give tap=IF or fd=N, then [,mac=M][,mtu=N][,vhost][,transport=mmio|pci]";
    private static readonly string[] Parts = ["tap", "fd", "mac", "mtu", "vhost", "transport"];

    internal static NetOptions Parse(OptionValue value)
    {
        NetOptions net = new();
        foreach (string part in DiskText.Split(value.Text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            (string key, string? text) = equals < 0 ? (part, null) : (part[..equals], part[(equals + 1)..]);
            net = key switch
            {
                "tap" when text is { Length: > 0 } => net with { Tap = text },
                "fd" when text is not null => net with { Descriptor = Number(text, 0, int.MaxValue, "a descriptor", value) },
                "mac" when text is not null => net with { Mac = Mac(text, value) },
                "mtu" when text is not null => net with { Mtu = (ushort)Number(text, (int)VirtioNetConst.MinMtu, ushort.MaxValue, "a largest packet", value) },
                "vhost" when text is null => net with { Vhost = true },
                "transport" when text is not null => net with { Transport = TransportText.Parse(text, value) },
                _ => throw Unknown(key, text, value),
            };
        }
        if (net.Tap is null == net.Descriptor is null) throw value.Bad("a network device needs one tap", Form);
        return net;
    }

    private static MacAddress Mac(string text, OptionValue value) =>
        MacAddress.TryParse(text, out MacAddress mac) ? mac : throw value.Bad("not an address that a device may have", "Give six bytes of which the first is even: mac=52:54:00:12:34:56");

    private static int Number(string text, int least, int most, string what, OptionValue value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n >= least && n <= most ? n : throw value.Bad($"not {what}", $"Give {least} to {most}");

    private static MicroVmException Unknown(string key, string? text, OptionValue value)
    {
        if (Array.IndexOf(Parts, key) >= 0) return value.Bad(text is null ? $"'{key}' of a network device lacks its value" : $"'{key}' of a network device takes no such value", Form);
        string? near = Suggestion.For(key, Parts);
        return value.Bad($"unknown part '{key}' of a network device", near is null ? Form : $"Did you mean {near}?");
    }
}
