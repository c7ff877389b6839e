using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

/// <summary>Text of one <c>.asl</c> file in, bytes and diagnostics out.</summary>
internal static class AslCompiler
{
    public static AslResult Compile(string path, string text, RegisterLayouts layouts, CancellationToken cancel)
    {
        var bag = new DiagnosticBag(path);
        AslFile file = AslParser.Parse(text, bag, cancel);
        Checks.Run(file, layouts, bag, cancel);
        string[] lines = text.Split('\n');
        var units = new List<UnitModel>();
        foreach (AslUnit unit in file.Units)
        {
            AmlWriter aml = AmlEncoder.Encode(unit, layouts, bag, cancel);
            if (unit.Kind == UnitKind.Fragment && aml.Length == 0 && file.Units.Count > 1) continue;
            units.Add(Model(unit, aml, lines, Objects(unit, aml, layouts)));
        }
        return new AslResult(new AslModel(ShortPath(path), ClassName(path) + "Aml", new([.. units])), bag.ToArray());
    }

    private static UnitModel Model(AslUnit unit, AmlWriter aml, string[] lines, EquatableArray<ObjectModel> objects)
    {
        var marks = new List<MarkModel>();
        foreach ((int offset, int line) in aml.Marks.OrderBy(static m => m.Offset).ThenBy(static m => m.Line))
        {
            if (marks.Count > 0 && marks[marks.Count - 1].Line == line) continue;
            marks.Add(new MarkModel(offset, line, line < lines.Length ? lines[line].Trim() : ""));
        }
        return new UnitModel(
            unit.Kind, unit.Name, new(aml.ToArray()),
            new([.. aml.Slots.Where(s => unit.Params.Any(p => p.Name == s.Param)).OrderBy(static s => s.Offset)]),
            new([.. marks]),
            new([.. unit.Params.Select(static p => new ParamModel(p.Name, p.Bits, p.Doc))]), objects);
    }

    /// <summary>What the unit declares, in the order of its bytes. Objects on one line share the offset of the first; what a method makes while it runs is left out.</summary>
    private static EquatableArray<ObjectModel> Objects(AslUnit unit, AmlWriter aml, RegisterLayouts layouts)
    {
        var objects = new List<ObjectModel>();
        foreach (AslSymbol symbol in AslNamespace.Collect(unit, layouts).Symbols)
        {
            if (symbol.Kind.EndsWith("Obj", StringComparison.Ordinal) || symbol.Kind.StartsWith("Create", StringComparison.Ordinal)) continue;
            // A register of a block stands on a line inside its Field's term.
            IEnumerable<int> before = aml.Marks.Where(m => m.Line <= symbol.At.Line).OrderByDescending(static m => m.Line).ThenBy(static m => m.Offset).Select(static m => m.Offset);
            string kind = symbol.Register is { } register ? $"{symbol.Block}.{register.Name}" : symbol.Kind;
            objects.Add(new ObjectModel(before.FirstOrDefault(), symbol.At.Line, kind, symbol.Path));
        }
        return new([.. objects.OrderBy(static o => o.Offset).ThenBy(static o => o.Line)]);
    }

    /// <summary>Folder and file: the same on every machine.</summary>
    public static string ShortPath(string path)
    {
        string[] parts = path.Replace('\\', '/').Split('/');
        return parts.Length < 2 ? path : $"{parts[parts.Length - 2]}/{parts[parts.Length - 1]}";
    }

    /// <summary><c>acpi.def/pci_root.asl</c> gives <c>PciRoot</c>.</summary>
    public static string ClassName(string path)
    {
        string file = path.Substring(path.LastIndexOfAny(['/', '\\']) + 1);
        int dot = file.IndexOf('.');
        string[] words = (dot < 0 ? file : file.Substring(0, dot)).Split(['_', '-', ' '], StringSplitOptions.RemoveEmptyEntries);
        string name = string.Concat(words.Select(static w => char.ToUpperInvariant(w[0]) + w.Substring(1)));
        return name.Length > 0 && char.IsLetter(name[0]) && name.All(char.IsLetterOrDigit) ? name : "Unnamed";
    }
}
