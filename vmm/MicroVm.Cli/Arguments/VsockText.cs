using MicroVm.Devices;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--vsock</c>.</summary>
internal static class VsockText
{
    internal const string Form = "cid=N,socket=PATH|vhost";

    internal static DeviceParts Parts(OptionValue value) =>
        new(value, "a socket device", Form, "cid", "socket", "vhost") { Paths = ["socket"] };

    internal static VsockOptions Parse(OptionValue value)
    {
        DeviceParts parts = Parts(value);
        (VsockOptions vsock, bool vhost) = (new(0, null), false);
        foreach ((string key, string? text) in parts)
        {
            switch (key)
            {
                case "cid" when text is not null: vsock = vsock with { Cid = (uint)parts.Number(text, (ulong)VirtioVsockConst.FirstGuestCid, (ulong)VirtioVsockConst.LastGuestCid, "an address that a guest may have") }; break;
                case "socket" when text is { Length: > 0 }: vsock = vsock with { Socket = text }; break;
                case "vhost" when text is null: vhost = true; break;
                default: vsock = parts.Common(vsock, key, text); break;
            }
        }
        if (vsock.Cid == 0) throw parts.Bad("a socket device without the guest's address");
        return vsock.Socket is null == vhost ? vsock : throw parts.Bad("a socket device needs one host end");
    }
}
