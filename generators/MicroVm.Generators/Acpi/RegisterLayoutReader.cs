using System.Globalization;
using System.Text.RegularExpressions;
using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

/// <summary>Reads the few facts of a <c>.def</c> file that ACPI needs. It reports nothing: errors there are the register parser's to report.</summary>
internal static class RegisterLayoutReader
{
    private const string Number = "(0x[0-9a-fA-F_]+|[0-9][0-9_]*)";
    private static readonly Regex Block = new($@"^block (\w+) size {Number}", RegexOptions.CultureInvariant);
    private static readonly Regex Access = new(@"^\s+access (1|2|4|8)\b", RegexOptions.CultureInvariant);
    private static readonly Regex Register = new($@"^  {Number}\s+(\w+)(?:\[{Number} stride {Number}\])?\s+u(8|16|32|64)\s+(ro|rw|wo|w1c|rc)\b(.*)$", RegexOptions.CultureInvariant);
    private static readonly Regex Field = new(@"(?<!\S)([0-9]+)(?::([0-9]+))?\s+([A-Za-z]\w*)", RegexOptions.CultureInvariant);
    private static readonly Regex Constants = new(@"^consts (\w+)", RegexOptions.CultureInvariant);
    private static readonly Regex Constant = new($@"^\s+(\w+)\s*=\s*{Number}", RegexOptions.CultureInvariant);
    private static readonly Regex Range = new($@"^\s+range (\w+)\s+{Number}\s+{Number}", RegexOptions.CultureInvariant);
    private static readonly Regex Place = new($@"^\s+place (\w+)(?:\[{Number}\])?\s+(\w+)\s+(pio|mmio)\s+{Number}(?:\s+stride {Number})?", RegexOptions.CultureInvariant);

    public static RegisterLayouts Read(string text, CancellationToken cancel)
    {
        var blocks = new List<BlockLayout>();
        var constants = new List<ConstantLayout>();
        var map = new List<MapRange>();
        var registers = new List<RegisterLayout>();
        string block = "", consts = "";
        uint size = 0, access = 0;

        void EndBlock()
        {
            if (block.Length > 0) blocks.Add(new BlockLayout(block, size, access, new([.. registers])));
            (block, consts, access) = ("", "", 0);
            registers.Clear();
        }

        foreach (string raw in text.Split('\n'))
        {
            cancel.ThrowIfCancellationRequested();
            int comment = raw.IndexOf('#');
            string line = (comment < 0 ? raw : raw.Substring(0, comment)).TrimEnd();
            if (line.Length == 0) continue;
            if (line[0] != ' ')
            {
                EndBlock();
                if (Block.Match(line) is { Success: true } b) (block, size) = (b.Groups[1].Value, (uint)Parse(b.Groups[2].Value));
                else if (Constants.Match(line) is { Success: true } c) consts = c.Groups[1].Value;
            }
            else if (consts.Length > 0 && Constant.Match(line) is { Success: true } k) constants.Add(new($"{consts}.{k.Groups[1].Value}", Parse(k.Groups[2].Value)));
            else if (block.Length > 0 && Access.Match(line) is { Success: true } a) access = (uint)Parse(a.Groups[1].Value);
            else if (block.Length > 0 && Register.Match(line) is { Success: true } r) AddRegisters(registers, r);
            else if (registers.Count > 0 && line.StartsWith("    ", StringComparison.Ordinal)) AddFields(registers, line);
            else if (Range.Match(line) is { Success: true } m) map.Add(new(false, Parse(m.Groups[2].Value), Parse(m.Groups[3].Value), ""));
            else if (Place.Match(line) is { Success: true } p) map.Add(Placed(p));
        }
        EndBlock();
        return new(new([.. blocks]), new([.. constants]), new([.. map]));
    }

    private static void AddRegisters(List<RegisterLayout> registers, Match r)
    {
        uint offset = (uint)Parse(r.Groups[1].Value), width = (uint)Parse(r.Groups[5].Value);
        uint count = r.Groups[3].Success ? (uint)Parse(r.Groups[3].Value) : 1, stride = r.Groups[4].Success ? (uint)Parse(r.Groups[4].Value) : 0;
        string access = r.Groups[6].Value, words = r.Groups[7].Value;
        bool clears = access == "rc" || access == "ro" && words.TrimStart().StartsWith("take ", StringComparison.Ordinal);
        for (uint i = 0; i < Math.Min(count, 256); i++)
            registers.Add(new(count == 1 ? r.Groups[2].Value : $"{r.Groups[2].Value}{i}", (offset + i * stride) * 8, width, clears, access == "rw"));
    }

    private static void AddFields(List<RegisterLayout> registers, string line)
    {
        RegisterLayout parent = registers.Last(static r => r.Name.IndexOf('.') < 0);
        foreach (Match f in Field.Matches(line))
        {
            uint low = (uint)Parse(f.Groups[1].Value), high = f.Groups[2].Success ? (uint)Parse(f.Groups[2].Value) : low;
            if (high < low || high >= parent.BitWidth) continue;
            registers.Add(parent with { Name = $"{parent.Name}.{f.Groups[3].Value}", BitOffset = parent.BitOffset + low, BitWidth = high - low + 1 });
        }
    }

    private static MapRange Placed(Match p)
    {
        ulong start = Parse(p.Groups[5].Value), count = p.Groups[2].Success ? Parse(p.Groups[2].Value) : 1;
        ulong length = p.Groups[6].Success ? count * Parse(p.Groups[6].Value) : 0;
        return new(p.Groups[4].Value == "pio", start, start + length, p.Groups[3].Value);
    }

    private static ulong Parse(string number)
    {
        number = number.Replace("_", "");
        bool hex = number.StartsWith("0x", StringComparison.Ordinal);
        return hex
            ? ulong.TryParse(number.Substring(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) ? value : 0
            : ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out value) ? value : 0;
    }
}
