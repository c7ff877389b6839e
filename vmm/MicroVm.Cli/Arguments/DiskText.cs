using System.Text;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--disk</c>.</summary>
internal static class DiskText
{
    internal const string Form =
        "[path=]F[,ro][,serial=S][,queues=N][,bps=SIZE][,iops=N][,burst=MS][,aio=io_uring|threads]|vhost-user=SOCKET";
    private const int MaxSerial = 20;

    internal static DeviceParts Parts(OptionValue value) =>
        new(value, "a disk", Form, "path", "ro", "readonly", "serial", "queues", "bps", "iops", "burst", "aio",
            "vhost-user") { Paths = ["path", "vhost-user"], BarePath = true };

    internal static DiskOptions Parse(OptionValue value)
    {
        DeviceParts parts = Parts(value);
        DiskOptions disk = new("");
        foreach ((string key, string? text) in parts)
        {
            disk = key switch
            {
                "path" when text is { Length: > 0 } => disk with { Path = text },
                "vhost-user" when text is { Length: > 0 } => disk with { Path = text, VhostUser = true },
                "ro" or "readonly" when text is null => disk with { ReadOnly = true },
                "serial" when text is { Length: > 0 } => disk with { Serial = Serial(text, parts) },
                "queues" when text is not null => disk with { Queues = (int)parts.Number(text, 1, DiskOptions.MaxQueues, "a number of queues") },
                "bps" or "iops" or "burst" when text is not null => disk with { Limits = parts.Limit(disk.Limits, key, text) },
                "aio" when text is not null => disk with { Engine = Engine(text, parts) },
                _ => parts.Common(disk, key, text),
            };
        }
        if (disk.VhostUser && disk with { Id = null, Transport = null, RootPort = null } != new DiskOptions(disk.Path) { VhostUser = true })
            throw parts.Bad("the backend says what its disk is like",
                "Remove ro, serial, queues, limits and aio, and set them where the backend is started");
        if (disk.Limits != default && disk.Limits.IsNone)
            throw parts.Bad("a burst without its limit", "Use bps=SIZE or iops=N with it");
        return disk.Path.Length > 0 ? disk : throw parts.Bad("a disk without its file", "Use path=FILE");
    }

    private static DiskEngine Engine(string text, DeviceParts parts) => text switch
    {
        "io_uring" => DiskEngine.IoUring,
        "threads" => DiskEngine.Threads,
        _ => throw parts.Bad("not a way to move a disk's data",
            "Use aio=io_uring or aio=threads, or remove it for the best that the host has"),
    };

    private static string Serial(string text, DeviceParts parts) =>
        text.Length <= MaxSerial && Ascii.IsValid(text) ? text
            : throw parts.Bad("a disk serial that the guest could not read",
            $"Use at most {MaxSerial} ASCII characters");
}
