using System.Globalization;
using System.Text;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--disk</c>: parts between commas, where a doubled comma is one of the text.</summary>
internal static class DiskText
{
    private const int MaxSerial = 20;
    private static readonly string[] Parts = ["path", "ro", "serial", "transport", "port"];

    internal static DiskOptions Parse(OptionValue value)
    {
        (string? path, string? serial, bool readOnly) = (null, null, false);
        VirtioTransport? transport = null;
        int? port = null;
        foreach (string part in Split(value.Text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? part : part[..equals];
            string? text = equals < 0 ? null : part[(equals + 1)..];
            switch (key)
            {
                case "path" when text is { Length: > 0 }: path = text; break;
                case "ro" when text is null: readOnly = true; break;
                case "serial" when text is { Length: > 0 }: serial = Serial(text, value); break;
                case "transport" when text is not null: transport = TransportText.Parse(text, value); break;
                case "port" when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int n): port = n; break;
                default: throw Unknown(key, text, value);
            }
        }
        return new DiskOptions(path ?? throw value.Bad("a disk without its file", "Give path=FILE"), readOnly, serial, transport, port);
    }

    private static string Serial(string text, OptionValue value) =>
        text.Length <= MaxSerial && Ascii.IsValid(text) ? text : throw value.Bad("a disk serial that the guest could not read", $"Give at most {MaxSerial} ASCII characters");

    private static MicroVmException Unknown(string key, string? text, OptionValue value)
    {
        if (Array.IndexOf(Parts, key) >= 0) return value.Bad(text is null ? $"'{key}' of a disk lacks its value" : $"'{key}' of a disk takes no such value", "Give path=F[,ro][,serial=S][,transport=mmio|pci][,port=N]");
        string? near = Suggestion.For(key, Parts);
        return value.Bad($"unknown part '{key}' of a disk", near is null ? "Give path=F[,ro][,serial=S][,transport=mmio|pci][,port=N]" : $"Did you mean {near}?");
    }

    internal static List<string> Split(string text)
    {
        List<string> parts = [];
        StringBuilder part = new();
        for (int i = 0; i < text.Length; i++)
        {
            bool comma = text[i] == ',';
            if (comma && (i + 1 >= text.Length || text[i + 1] != ','))
            {
                parts.Add(part.ToString());
                part.Clear();
                continue;
            }
            if (comma) i++;
            part.Append(text[i]);
        }
        parts.Add(part.ToString());
        return parts;
    }
}
