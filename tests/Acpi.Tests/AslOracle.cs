using System.Globalization;
using MicroVm.Generators.Acpi;

namespace Acpi.Tests;

/// <summary>The same text through our compiler and through iasl.</summary>
internal static class AslOracle
{
    private const int HeaderSize = 36;

    // A window's start, last and length must fit together: iasl looks.
    private const ulong WindowLength = 0x8000;

    /// <summary>A value that no smaller encoding holds, different for each parameter.</summary>
    public static ulong Sentinel(string unit, string name, int bits)
    {
        if (name.EndsWith("Start", StringComparison.Ordinal)) return Start(unit, name[..^5], bits);
        if (name.EndsWith("Last", StringComparison.Ordinal)) return Start(unit, name[..^4], bits) + WindowLength - 1;
        if (name.EndsWith("Length", StringComparison.Ordinal)) return WindowLength;
        return Plain(unit, name, bits);
    }

    // Buses begin at 0.
    private static ulong Start(string unit, string window, int bits) => window == "Bus" ? 0 : Plain(unit, window, bits) & ~(WindowLength - 1);

    private static ulong Plain(string unit, string name, int bits)
    {
        ulong value = 0xC1C2_C3C4_C5C6_C7C8 >> (64 - bits);
        uint mix = 17;
        foreach (char c in unit + name) mix = mix * 31 + c;
        return value ^ (mix & (bits == 4 ? 7u : 0x3Fu));
    }

    /// <summary>Compiles <paramref name="text"/> both ways and compares all but checksum and compiler id.</summary>
    /// <param name="iasl">Where the oracle runs.</param>
    /// <param name="text">ASL with our extensions.</param>
    /// <param name="value">Values of the slots; sentinels without it.</param>
    public static void Same(Iasl iasl, string text, Func<string, string, int, ulong>? value = null)
    {
        value ??= Sentinel;
        AslResult result = Definitions.Compile(text);
        Assert.True(result.Diagnostics.Count == 0, Definitions.Describe(result));
        string plain = AslExpander.Expand(text, Definitions.Layouts, (unit, param) => value(unit, param.Name, param.Bits));
        (byte[] theirs, string said) = Compile(iasl, plain);
        byte[] ours = [.. result.Model.Units.SelectMany(u => Filled(u, value))];
        bool table = result.Model.Units[0].Kind == UnitKind.Table;
        if (table)
        {
            Assert.Equal(theirs[..4], ours[..4]);
            Assert.Equal(theirs[8], ours[8]);
            Assert.Equal(theirs[10..28], ours[10..28]);
            ours = ours[HeaderSize..];
        }
        theirs = WithoutExternals(theirs[HeaderSize..]);
        Assert.True(ours.AsSpan().SequenceEqual(theirs), $"{plain}\nours   {Hex(ours)}\ntheirs {Hex(theirs)}\n{said}");
    }

    public static (byte[] Aml, string Said) Compile(Iasl iasl, string plain)
    {
        iasl.Write("t.asl", plain);
        string said = iasl.Run("iasl", "-oa", "-p", "t", "t.asl");
        Assert.True(said.Contains("0 Errors", StringComparison.Ordinal) || said.Contains("Compilation successful", StringComparison.Ordinal), plain + "\n" + said);
        return (iasl.ReadBytes("t.aml"), said);
    }

    private static byte[] Filled(UnitModel unit, Func<string, string, int, ulong> value)
    {
        byte[] bytes = [.. unit.Bytes];
        foreach (SlotModel slot in unit.Slots)
        {
            ulong v = value(unit.Name, slot.Param, unit.Params.First(p => p.Name == slot.Param).Bits);
            string digits = v.ToString("X" + slot.Width, CultureInfo.InvariantCulture);
            for (int i = 0; i < slot.Width; i++) bytes[slot.Offset + i] = slot.HexDigits ? (byte)digits[i] : (byte)(v >> (8 * i));
        }
        return bytes;
    }

    /// <summary>iasl says External in a block <c>If (Zero)</c> at the beginning, for disassemblers; we say nothing.</summary>
    private static byte[] WithoutExternals(byte[] aml)
    {
        if (aml.Length < 4 || aml[0] != 0xA0) return aml;
        int bytes = aml[1] >> 6, length = bytes == 0 ? aml[1] : aml[1] & 0xF;
        for (int i = 0; i < bytes; i++) length |= aml[2 + i] << (4 + 8 * i);
        return aml[2 + bytes] == 0x00 && aml[3 + bytes] == 0x15 ? aml[(1 + length)..] : aml;
    }

    private static string Hex(byte[] bytes) => Convert.ToHexString(bytes);
}
