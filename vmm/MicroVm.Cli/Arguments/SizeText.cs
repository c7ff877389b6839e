using System.Globalization;

namespace MicroVm.Cli.Arguments;

/// <summary>A number of bytes with its unit: <c>512M</c>, <c>1.5G</c>. K, M, G and T are powers of 1024, and so are
/// KiB, MiB, KB and MB: a size here is one of memory or of a disk, which have no others.</summary>
internal static class SizeText
{
    private const string NoUnit = "a size without its unit", Remedy = "Use K, M, G or T: 512M, 1.5G";
    // So that a fraction of a T fits into 64 bits.
    private const int MaxFractionDigits = 6;

    /// <summary>The bytes of a value that is a size.</summary>
    /// <exception cref="MicroVmException">It is not one, or has no unit.</exception>
    internal static ulong Parse(OptionValue value) => Parse(value.Text, value);

    /// <summary>The bytes of a part of a value.</summary>
    /// <param name="text">The part.</param>
    /// <param name="value">What it is a part of, for messages.</param>
    internal static ulong Parse(string text, OptionValue value)
    {
        // Nothing of something needs no unit.
        if (text == "0") return 0;
        string? problem = Read(text, out ulong bytes, out bool hasUnit);
        return problem is null && hasUnit ? bytes : throw value.Bad(problem ?? NoUnit, Remedy);
    }

    /// <summary>Takes a size with a unit or without; false for anything else, for 0, and for what no 64 bits
    /// hold.</summary>
    internal static bool TryParse(string text, out ulong bytes) => Read(text, out bytes, out _) is null && bytes != 0;

    // What is wrong with it, or null.
    private static string? Read(string text, out ulong bytes, out bool hasUnit)
    {
        int digits = text.AsSpan().IndexOfAnyExcept("0123456789.");
        string number = digits < 0 ? text : text[..digits], unit = digits < 0 ? "" : text[digits..].ToUpperInvariant();
        int shift = unit switch
        {
            "" => 0,
            "K" or "KB" or "KIB" => 10,
            "M" or "MB" or "MIB" => 20,
            "G" or "GB" or "GIB" => 30,
            "T" or "TB" or "TIB" => 40,
            _ => -1,
        };
        (bytes, hasUnit) = (0, shift > 0);
        int point = number.IndexOf('.', StringComparison.Ordinal);
        string whole = point < 0 ? number : number[..point], fraction = point < 0 ? "0" : number[(point + 1)..];
        bool good = shift >= 0 & ulong.TryParse(whole, NumberStyles.None, CultureInfo.InvariantCulture, out ulong n)
            & ulong.TryParse(fraction, NumberStyles.None, CultureInfo.InvariantCulture, out ulong part);
        if (!good || fraction.Length > MaxFractionDigits) return "not a size";
        if (shift == 0 && point >= 0) return NoUnit;
        if (n > ulong.MaxValue >> shift) return "more bytes than an address can name";
        ulong ten = 1;
        foreach (char _ in fraction) ten *= 10;
        if ((part << shift) % ten != 0) return "a size that is not a whole number of bytes";
        bytes = (n << shift) + (part << shift) / ten;
        return null;
    }
}
