namespace MicroVm.Generators.Acpi;

/// <summary>A declared object. <paramref name="Args"/> is a method's number of arguments, or -1 where it is not known.</summary>
internal sealed record AslSymbol(string Path, string Kind, int Args, Token At, RegisterLayout? Register, string Block)
{
    public bool IsMethod => Kind is "Method" or "MethodObj";
}

/// <summary>What a file declares, by full path, and how a name is found from where it stands (ACPI 6.5, 5.3).</summary>
internal sealed class AslNamespace
{
    private static readonly string[] Predefined = ["\\", "\\_SB_", "\\_GPE", "\\_PR_", "\\_SI_", "\\_TZ_", "\\_GL_", "\\_OS_", "\\_OSI", "\\_REV"];

    private readonly Dictionary<string, AslSymbol> _symbols = new(StringComparer.Ordinal);
    private readonly DiagnosticBag? _bag;
    private readonly RegisterLayouts _layouts;

    private AslNamespace(RegisterLayouts layouts, DiagnosticBag? bag) => (_layouts, _bag) = (layouts, bag);

    public IEnumerable<AslSymbol> Symbols => _symbols.Values;

    /// <summary>Collects the declarations; names declared twice go to <paramref name="bag"/>.</summary>
    public static AslNamespace Collect(AslFile file, RegisterLayouts layouts, DiagnosticBag? bag)
    {
        var space = new AslNamespace(layouts, bag);
        foreach (AslUnit unit in file.Units) space.Terms(unit.Terms, []);
        return space;
    }

    /// <summary>The same of one unit; what is wrong in it has been reported.</summary>
    public static AslNamespace Collect(AslUnit unit, RegisterLayouts layouts)
    {
        var space = new AslNamespace(layouts, null);
        space.Terms(unit.Terms, []);
        return space;
    }

    /// <summary>The path of a declaration in <paramref name="scope"/>; parents above the root stay at the root.</summary>
    public static string[] Absolute(string[] scope, NamePath name)
    {
        if (name.Root) return name.Segments;
        IEnumerable<string> above = scope.Take(Math.Max(0, scope.Length - name.Parents));
        return [.. above, .. name.Segments];
    }

    public static string Join(IEnumerable<string> segments) => "\\" + string.Join(".", segments);

    /// <summary>Finds a name. A single segment is looked for in every scope up to the root, a path only where it says.</summary>
    public bool Find(string[] scope, string text, out AslSymbol? symbol)
    {
        NamePath name = NamePath.Parse(text);
        symbol = null;
        if (!name.Root && name.Parents == 0 && name.Segments.Length == 1)
        {
            for (int depth = scope.Length; depth >= 0; depth--)
            {
                if (Exact(Join([.. scope.Take(depth), name.Segments[0]]), out symbol)) return true;
            }
            return false;
        }
        return Exact(Join(Absolute(scope, name)), out symbol);
    }

    private bool Exact(string path, out AslSymbol? symbol)
    {
        if (_symbols.TryGetValue(path, out symbol)) return true;
        return Predefined.Contains(path);
    }

    private void Declare(string[] scope, AslNode name, string kind, int args = 0, RegisterLayout? register = null, string block = "", Token? at = null)
    {
        if (name.Op is not (AslNode.Name or AslNode.Call or AslNode.FieldUnit)) return;
        string path = Join(Absolute(scope, NamePath.Parse(name.Value)));
        var symbol = new AslSymbol(path, kind, args, at ?? name.At, register, block);
        if (!_symbols.TryGetValue(path, out AslSymbol? first) || first.At.Start == symbol.At.Start) _symbols[path] = symbol;
        else if (kind != "External" && !first.Kind.EndsWith("Obj", StringComparison.Ordinal)) _bag?.Report(AcpiDiagnostics.Duplicate, symbol.At, name.Value, $"{first.At.Line + 1}");
    }

    private void Terms(IEnumerable<AslNode> terms, string[] scope)
    {
        foreach (AslNode term in terms) Term(term, scope);
    }

    private void Term(AslNode node, string[] scope)
    {
        AslNode? name = node.Arg(0);
        switch (node.Op)
        {
            case "Device" or "ThermalZone" or "PowerResource" or "Processor" or "Name" or "Mutex" or "Event" or "OperationRegion":
                if (name is not null) Declare(scope, name, node.Op);
                break;
            case "Method":
                if (name is not null) Declare(scope, name, node.Op, (int)Math.Min(7, node.Arg(1)?.Number ?? 0));
                break;
            case "Alias":
                if (node.Arg(1) is { } alias) Declare(scope, alias, node.Op, -1);
                break;
            case "External":
                if (name is not null) Declare(scope, name, node.Arg(1) is { Op: AslNode.Name } type ? type.Value : "UnknownObj", -1);
                break;
            case "CreateDWordField" or "CreateWordField" or "CreateByteField" or "CreateBitField" or "CreateQWordField" or "CreateField":
                if (node.Args.Count > 0 && node.Args[node.Args.Count - 1] is { } field) Declare(scope, field, node.Op);
                break;
            case "Field" or "IndexField" or "BankField":
                foreach (AslNode unit in node.Body ?? [])
                {
                    if (unit.Is(AslNode.FieldUnit) && unit.Value.Length > 0) Declare(scope, unit, node.Op);
                }
                return;
            case "Registers":
                if (name is not null) Declare(scope, name, node.Op);
                if (RegisterFields.Find(node, _layouts, new DiagnosticBag("")) is not { } fields) return;
                foreach ((AslNode at, string unit, RegisterLayout register) in fields.Groups.SelectMany(static g => g.Units))
                    Declare(scope, new AslNode(AslNode.FieldUnit, at.At) { Value = unit }, node.Op, 0, register, fields.Block.Name, at.Arg(0)?.At);
                return;
        }
        if (node.Body is null || AslOperators.Find(node.Op)?.Body != BodyKind.Terms) return;
        bool opens = node.Op is "Scope" or "Device" or "ThermalZone" or "PowerResource" or "Processor" or "Method";
        Terms(node.Body, opens && name is { Op: AslNode.Name or AslNode.Call } ? Absolute(scope, NamePath.Parse(name.Value)) : scope);
    }
}
