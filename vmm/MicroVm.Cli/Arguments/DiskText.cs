using System.Text;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--disk</c>.</summary>
internal static class DiskText
{
    internal const string Form = "path=F[,ro][,serial=S]";
    private const int MaxSerial = 20;

    internal static DiskOptions Parse(OptionValue value)
    {
        DeviceParts parts = new(value, "a disk", Form, "path", "ro", "serial");
        DiskOptions disk = new("");
        foreach ((string key, string? text) in parts)
        {
            disk = key switch
            {
                "path" when text is { Length: > 0 } => disk with { Path = text },
                "ro" when text is null => disk with { ReadOnly = true },
                "serial" when text is { Length: > 0 } => disk with { Serial = Serial(text, parts) },
                _ => parts.Common(disk, key, text),
            };
        }
        return disk.Path.Length > 0 ? disk : throw parts.Bad("a disk without its file", "Give path=FILE");
    }

    private static string Serial(string text, DeviceParts parts) =>
        text.Length <= MaxSerial && Ascii.IsValid(text) ? text : throw parts.Bad("a disk serial that the guest could not read", $"Give at most {MaxSerial} ASCII characters");
}
