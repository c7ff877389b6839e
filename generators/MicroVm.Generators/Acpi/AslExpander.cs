using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace MicroVm.Generators.Acpi;

/// <summary>Writes a file as plain ASL, the extensions spelled out and each slot given a value, so that another compiler can read it.</summary>
internal static class AslExpander
{
    private static readonly Regex Slot = new(@"([A-Za-z_][A-Za-z0-9_]*)?\$\{([A-Za-z_][A-Za-z0-9_.]*)\}([A-Za-z0-9_]*)", RegexOptions.CultureInvariant);

    /// <param name="text">An <c>.asl</c> file without errors.</param>
    /// <param name="layouts">What it takes from <c>devices.def</c>.</param>
    /// <param name="value">The value of a parameter, by the name of its unit ("" for the file's own) and its own.</param>
    public static string Expand(string text, RegisterLayouts layouts, Func<string, AslParam, ulong> value)
    {
        AslFile file = AslParser.Parse(text, new DiagnosticBag(""), CancellationToken.None);
        AslUnit main = file.Units[0];
        var plain = new StringBuilder();
        string signature = main.Kind == UnitKind.Table ? main.Signature : "SSDT";
        plain.Append($"DefinitionBlock (\"\", \"{signature}\", 2, \"{(main.OemId.Length > 0 ? main.OemId : "MICROV")}\", \"{(main.OemTableId.Length > 0 ? main.OemTableId : "FRAGMENT")}\", {Math.Max(1, main.OemRevision)})\n{{\n");
        var holes = file.Extensions.ToList();
        foreach (AslUnit each in file.Units.Skip(1)) holes.Add((each.BodyStart, each.BodyEnd));
        plain.Append(Unit(main, 0, text.Length, text, holes, layouts, value));
        foreach (AslUnit each in file.Units.Skip(1)) plain.Append(Unit(each, each.BodyStart, each.BodyEnd, text, [], layouts, value));
        return plain.Append("}\n").ToString();
    }

    private static string Unit(AslUnit unit, int start, int end, string text, List<(int Start, int End)> holes, RegisterLayouts layouts, Func<string, AslParam, ulong> value)
    {
        List<(int Start, int End, string Text)> edits = [.. holes.Select(static h => (h.Start, h.End, ""))];
        foreach (AslNode node in Registers(unit.Terms)) edits.Add((node.At.Start, node.End, Spelled(node, text, layouts)));
        var plain = new StringBuilder();
        int at = start;
        foreach ((int from, int to, string with) in edits.OrderBy(static e => e.Start).ThenByDescending(static e => e.End))
        {
            if (from < at) continue;
            plain.Append(text, at, from - at).Append(with);
            at = to;
        }
        plain.Append(text, at, Math.Max(0, end - at));
        return Slot.Replace(plain.ToString(), m => Filled(m, unit, layouts, value));
    }

    private static string Filled(Match m, AslUnit unit, RegisterLayouts layouts, Func<string, AslParam, ulong> value)
    {
        string head = m.Groups[1].Value, name = m.Groups[2].Value, tail = m.Groups[3].Value;
        AslParam? param = unit.Params.FirstOrDefault(p => p.Name == name);
        ulong? number = param is null ? layouts.Constant(name) : value(unit.Name, param);
        if (number is not { } n) return m.Value;
        if (head.Length == 0 && tail.Length == 0) return "0x" + n.ToString("X", CultureInfo.InvariantCulture);
        return head + n.ToString("X" + (4 - head.Length - tail.Length).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) + tail;
    }

    private static IEnumerable<AslNode> Registers(IEnumerable<AslNode> terms) =>
        terms.SelectMany(static t => t.Is("Registers") ? [t] : t.Body is null || AslOperators.Find(t.Op)?.Body != BodyKind.Terms ? [] : Registers(t.Body));

    private static string Spelled(AslNode node, string text, RegisterLayouts layouts)
    {
        if (RegisterFields.Find(node, layouts, new DiagnosticBag("")) is not { } fields) return "";
        AslNode where = node.Arg(2)!;
        string region = node.Arg(0)!.Value;
        var plain = new StringBuilder($"OperationRegion ({region}, {node.Arg(1)!.Value}, {text.Substring(where.At.Start, where.End - where.At.Start)}, 0x{fields.Block.Size:X})");
        foreach (RegisterFields.Group group in fields.Groups)
        {
            plain.Append($" Field ({region}, {fields.Access}, NoLock, {group.Update}) {{");
            uint bit = 0;
            foreach ((_, string name, RegisterLayout register) in group.Units)
            {
                if (register.BitOffset > bit) plain.Append($" , {register.BitOffset - bit},");
                plain.Append($" {name}, {register.BitWidth},");
                bit = register.BitOffset + register.BitWidth;
            }
            plain.Length--;
            plain.Append(" }");
        }
        return plain.ToString();
    }
}
