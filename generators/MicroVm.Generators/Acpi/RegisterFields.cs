namespace MicroVm.Generators.Acpi;

/// <summary>What a <c>Registers</c> term stands for: the block, and which register has which name.</summary>
/// <param name="Block">The block.</param>
/// <param name="Access">Access width of the field.</param>
/// <param name="Groups">Fields in the order of their offsets; registers that share an offset are in different groups, since a field has no two names at one place.</param>
internal sealed record RegisterFields(BlockLayout Block, string Access, List<RegisterFields.Group> Groups)
{
    internal sealed record Group(string Update, List<(AslNode At, string Name, RegisterLayout Register)> Units);

    /// <summary>The fields, or null where the block is unknown; errors go to <paramref name="bag"/>.</summary>
    public static RegisterFields? Find(AslNode node, RegisterLayouts layouts, DiagnosticBag bag)
    {
        AslNode? named = node.Arg(3);
        if (named is null) return null;
        if (layouts.Block(named.Value) is not { } block)
        {
            bag.Report(AcpiDiagnostics.UnknownBlock, named.At, $"no block '{named.Value}' in devices.def{Near(named.Value, layouts.Blocks.Select(static b => b.Name))}");
            return null;
        }
        var units = node.Body is null ? Derived(node, block) : Mapped(node.Body, block, bag);
        foreach (var same in units.GroupBy(static u => u.Name).Where(static g => g.Count() > 1))
            bag.Report(AcpiDiagnostics.BadName, same.Last().At.At, $"two registers of {block.Name} are named {same.Key}; name them with {{ Register = NAME, ... }}");
        string access = block.AccessBytes switch { 1 => "ByteAcc", 2 => "WordAcc", 4 => "DWordAcc", 8 => "QWordAcc", _ => "AnyAcc" };
        return new(block, access, Divide(units));
    }

    /// <summary>Without a list every register is named by its first four letters.</summary>
    private static List<(AslNode At, string Name, RegisterLayout Register)> Derived(AslNode node, BlockLayout block) =>
        [.. block.Registers.Where(static r => r.Name.IndexOf('.') < 0).Select(r => (node, r.Name.ToUpperInvariant().PadRight(4, '_').Substring(0, 4), r))];

    private static List<(AslNode At, string Name, RegisterLayout Register)> Mapped(List<AslNode> body, BlockLayout block, DiagnosticBag bag)
    {
        var units = new List<(AslNode, string, RegisterLayout)>();
        foreach (AslNode unit in body)
        {
            if (block.Registers.FirstOrDefault(r => r.Name == unit.Value) is { } register)
                units.Add((unit, NamePath.Parse(unit.Arg(0)!.Value).Last, register));
            else
                bag.Report(AcpiDiagnostics.UnknownBlock, unit.At, $"block {block.Name} has no register '{unit.Value}'{Near(unit.Value, block.Registers.Select(static r => r.Name))}");
        }
        return units;
    }

    private static List<Group> Divide(List<(AslNode At, string Name, RegisterLayout Register)> units)
    {
        var groups = new List<Group>();
        var ends = new List<uint>();
        foreach (var unit in units.OrderBy(static u => u.Register.BitOffset).ThenBy(static u => u.Register.BitWidth))
        {
            // A register that does not keep what is written must not have its old bits written back.
            string update = unit.Register.Stored ? "Preserve" : "WriteAsZeros";
            int at = 0;
            while (at < groups.Count && (ends[at] > unit.Register.BitOffset || groups[at].Update != update)) at++;
            if (at == groups.Count)
            {
                groups.Add(new Group(update, []));
                ends.Add(0);
            }
            groups[at].Units.Add(unit);
            ends[at] = unit.Register.BitOffset + unit.Register.BitWidth;
        }
        return groups;
    }

    public static string Near(string wrong, IEnumerable<string> names)
    {
        string? best = names.OrderBy(n => Distance(wrong, n)).FirstOrDefault();
        return best is not null && Distance(wrong, best) <= 3 ? $"; did you mean '{best}'?" : "; declare it there";
    }

    private static int Distance(string a, string b)
    {
        if (a.Length > 64 || b.Length > 64) return int.MaxValue;
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int corner = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(row[j], row[j - 1]) + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1));
                corner = above;
            }
        }
        return row[b.Length];
    }
}
