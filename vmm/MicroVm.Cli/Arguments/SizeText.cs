using System.Globalization;

namespace MicroVm.Cli.Arguments;

/// <summary>A number of bytes with its unit: <c>512M</c>, <c>2G</c>.</summary>
internal static class SizeText
{
    private const string Remedy = "Give it as 512M or 2G";

    /// <summary>The bytes of a value that is a size.</summary>
    /// <exception cref="MicroVmException">It is none.</exception>
    internal static ulong Parse(OptionValue value) => Parse(value.Text, value);

    /// <summary>The bytes of a part of a value.</summary>
    /// <param name="text">The part.</param>
    /// <param name="value">What it is a part of, for messages.</param>
    internal static ulong Parse(string text, OptionValue value)
    {
        // Nothing of something needs no unit.
        if (text == "0") return 0;
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 };
        if (shift == 0) throw value.Bad("a size without its unit", Remedy);
        bool parsed = ulong.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out ulong n);
        if (!parsed) throw value.Bad("not a size", Remedy);
        if (n > ulong.MaxValue >> shift) throw value.Bad("more memory than an address can name", Remedy);
        return n << shift;
    }

    /// <summary>Takes digits, with K, M, G or T behind them for powers of 1024; false for anything else, for 0, and for what no 64 bits hold.</summary>
    internal static bool TryParse(string text, out ulong bytes)
    {
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 };
        bool parsed = ulong.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out bytes);
        bool fits = parsed && bytes != 0 && bytes <= ulong.MaxValue >> shift;
        bytes <<= shift;
        return fits;
    }
}
