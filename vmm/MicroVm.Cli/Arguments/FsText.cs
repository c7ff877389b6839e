using MicroVm.Devices;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--fs</c>.</summary>
internal static class FsText
{
    internal const string Form = "tag=T,socket=PATH[,queues=N]";
    private const int MaxQueues = 64;

    internal static DeviceParts Parts(OptionValue value) =>
        new(value, "a shared folder", Form, "tag", "socket", "queues") { Paths = ["socket"] };

    internal static FsOptions Parse(OptionValue value)
    {
        DeviceParts parts = Parts(value);
        FsOptions fs = new("", "");
        foreach ((string key, string? text) in parts)
        {
            fs = key switch
            {
                "tag" when text is { Length: > 0 and <= VirtioFsConst.TagLength } => fs with { Tag = text },
                "socket" when text is { Length: > 0 } => fs with { Socket = text },
                "queues" when text is not null => fs with { RequestQueues = (int)parts.Number(text, 1, MaxQueues, "a number of queues") },
                _ => parts.Common(fs, key, text),
            };
        }
        if (fs.Tag.Length == 0) throw parts.Bad(
            "a shared folder without its tag", "Use tag=NAME, by which the guest mounts it");
        return fs.Socket.Length > 0 ? fs
            : throw parts.Bad("a shared folder without its backend", "Use socket=PATH, where virtiofsd listens");
    }
}
