using System.Collections;
using System.Globalization;
using System.Text;

namespace MicroVm.Cli.Arguments;

/// <summary>The value of a device's flag: parts between commas, <c>key=text</c> or <c>key</c>, where a doubled comma is one of the text.</summary>
/// <param name="value">As the user gave it.</param>
/// <param name="what">The device in messages: "a disk".</param>
/// <param name="form">What may be given, as in the help.</param>
/// <param name="keys">Keys of this kind of device; those of every virtio device are added.</param>
internal sealed class DeviceParts(OptionValue value, string what, string form, params string[] keys) : IEnumerable<(string Key, string? Text)>
{
    private const string PathKey = "path";
    private static readonly string[] s_common = ["transport", "port", "id"];

    /// <summary>Keys whose text is a path of the host.</summary>
    internal string[] Paths { get; init; } = [];

    /// <summary>Keys that may be given more than once.</summary>
    internal string[] Repeatable { get; init; } = [];

    /// <summary>The first part may be the text of <c>path</c> alone: <c>a.img,ro</c>.</summary>
    internal bool BarePath { get; init; }

    /// <summary>The whole value with its paths as they are seen from a folder, for who reads it in another.</summary>
    /// <param name="folder">An absolute path.</param>
    internal string From(string folder) => string.Join(',', this.Select(part =>
        Joined(part.Key, part.Text, folder).Replace(",", ",,", StringComparison.Ordinal)));

    private string Joined(string key, string? text, string folder) => text is null ? key
        : $"{key}={(text.Length > 0 && Array.IndexOf(Paths, key) >= 0 ? Path.Combine(folder, text) : text)}";

    /// <summary>Takes a part that every virtio device has.</summary>
    /// <exception cref="MicroVmException">No device has it, or its text means nothing.</exception>
    internal T Common<T>(T options, string key, string? text) where T : VirtioOptions => key switch
    {
        "transport" when text is not null => options with { Transport = TransportText.Parse(text, value) },
        "port" when text is not null => options with { RootPort = (int)Number(text, 1, int.MaxValue, "a root port") },
        "id" when text is { Length: > 0 } => options with { Id = text },
        _ => throw Unknown(key, text),
    };

    /// <summary>A whole number within bounds.</summary>
    /// <param name="text">Digits.</param>
    /// <param name="least">Smallest.</param>
    /// <param name="most">Largest.</param>
    /// <param name="meaning">What it should be, with its article.</param>
    internal ulong Number(string text, ulong least, ulong most, string meaning) =>
        ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong n) && n >= least && n <= most
            ? n : throw Bad($"not {meaning}", $"Use {least} to {most}");

    /// <summary>A number of bytes, with a unit or without.</summary>
    internal ulong Bytes(string text, string meaning) => SizeText.TryParse(text, out ulong bytes) ? bytes
        : throw Bad($"not {meaning}", "Use K, M or G: 500K, 10M, 2G");

    /// <summary>Takes a part of a device's limits: bytes and operations a second, and how much of them may be saved up.</summary>
    internal RateLimits Limit(RateLimits limits, string key, string text)
    {
        if (limits == default) limits = new RateLimits(0, 0);
        return key switch
        {
            "bps" => limits with { BytesPerSecond = Bytes(text, "a number of bytes a second") },
            "iops" => limits with { OperationsPerSecond = Number(text, 1, ulong.MaxValue, "a number of operations a second") },
            _ => limits with { BurstMilliseconds = (uint)Number(text, 1, 3_600_000, "a number of milliseconds") },
        };
    }

    /// <summary>The failure to throw for a value that cannot be.</summary>
    internal MicroVmException Bad(string problem, string? remedy = null) => value.Bad(problem, remedy ?? $"Use {form}");

    /// <summary>The failure to throw for a part that is not known, or has a text where it takes none.</summary>
    internal MicroVmException Unknown(string key, string? text)
    {
        string[] known = [.. keys, .. s_common];
        if (IsKnown(key)) return Bad(text is null ? $"'{key}' of {what} lacks its value"
            : $"'{key}' of {what} takes no such value");
        string? near = Suggestion.For(key, known);
        return Bad($"unknown part '{key}' of {what}", near is null ? null : $"Did you mean {near}?");
    }

    public IEnumerator<(string Key, string? Text)> GetEnumerator()
    {
        HashSet<string> before = [];
        foreach (string part in Split(value.Text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            (string key, string? text) = equals < 0 ? (part, (string?)null) : (part[..equals], part[(equals + 1)..]);
            // A key has no slash, and a path may have an equals sign.
            bool isPath = text is null ? !IsKnown(key) : key.Contains('/', StringComparison.Ordinal);
            if (BarePath && before.Count == 0 && part.Length > 0 && isPath) (key, text) = (PathKey, part);
            if (!before.Add(key) && Array.IndexOf(Repeatable, key) < 0)
                throw Bad($"'{key}' of {what} is given twice", "Remove one of them");
            yield return (key, text);
        }
    }

    private bool IsKnown(string key) => Array.IndexOf(keys, key) >= 0 || Array.IndexOf(s_common, key) >= 0;

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static List<string> Split(string text)
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
