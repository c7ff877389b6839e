using System.Globalization;
using MicroVm.Devices;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--vsock</c>: parts between commas.</summary>
internal static class VsockText
{
    private const string Form = "Give cid=N,socket=PATH or cid=N,vhost, then [,transport=mmio|pci]";
    private static readonly string[] Parts = ["cid", "socket", "vhost", "transport"];

    internal static VsockOptions Parse(OptionValue value)
    {
        (uint? cid, string? socket, bool vhost) = (null, null, false);
        VirtioTransport? transport = null;
        foreach (string part in DiskText.Split(value.Text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            (string key, string? text) = equals < 0 ? (part, null) : (part[..equals], part[(equals + 1)..]);
            switch (key)
            {
                case "cid" when text is not null: cid = Cid(text, value); break;
                case "socket" when text is { Length: > 0 }: socket = text; break;
                case "vhost" when text is null: vhost = true; break;
                case "transport" when text is not null: transport = TransportText.Parse(text, value); break;
                default: throw Unknown(key, text, value);
            }
        }
        if (cid is null) throw value.Bad("a socket device without the guest's address", Form);
        if (socket is null != vhost) throw value.Bad("a socket device needs one host end", Form);
        return new VsockOptions(cid.Value, socket, transport);
    }

    private static uint Cid(string text, OptionValue value) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint n) && n >= (uint)VirtioVsockConst.FirstGuestCid && n <= (uint)VirtioVsockConst.LastGuestCid
            ? n : throw value.Bad("not an address that a guest may have", $"Give {VirtioVsockConst.FirstGuestCid} to {VirtioVsockConst.LastGuestCid}");

    private static MicroVmException Unknown(string key, string? text, OptionValue value)
    {
        if (Array.IndexOf(Parts, key) >= 0) return value.Bad(text is null ? $"'{key}' of a socket device lacks its value" : $"'{key}' of a socket device takes no such value", Form);
        string? near = Suggestion.For(key, Parts);
        return value.Bad($"unknown part '{key}' of a socket device", near is null ? Form : $"Did you mean {near}?");
    }
}
