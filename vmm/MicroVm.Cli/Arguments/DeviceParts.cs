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
    private static readonly string[] s_common = ["transport", "port", "id"];

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
        ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong n) && n >= least && n <= most ? n : throw Bad($"not {meaning}", $"Give {least} to {most}");

    /// <summary>A number of bytes: digits, and K, M, G or T for powers of 1024.</summary>
    internal ulong Bytes(string text, string meaning) => SizeText.TryParse(text, out ulong bytes) ? bytes : throw Bad($"not {meaning}", "Give it as 500K, 10M or 2G");

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
    internal MicroVmException Bad(string problem, string? remedy = null) => value.Bad(problem, remedy ?? $"Give {form}");

    /// <summary>The failure to throw for a part that is not known, or has a text where it takes none.</summary>
    internal MicroVmException Unknown(string key, string? text)
    {
        string[] known = [.. keys, .. s_common];
        if (Array.IndexOf(known, key) >= 0) return Bad(text is null ? $"'{key}' of {what} lacks its value" : $"'{key}' of {what} takes no such value");
        string? near = Suggestion.For(key, known);
        return Bad($"unknown part '{key}' of {what}", near is null ? null : $"Did you mean {near}?");
    }

    public IEnumerator<(string Key, string? Text)> GetEnumerator()
    {
        foreach (string part in Split(value.Text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            yield return equals < 0 ? (part, null) : (part[..equals], part[(equals + 1)..]);
        }
    }

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
