namespace MicroVm.Generators.Acpi;

/// <summary>Checks of a whole file that the encoder cannot make term by term: paths, calls, fragments.</summary>
internal sealed class Checks
{
    private readonly AslNamespace _names;
    private readonly DiagnosticBag _bag;
    private readonly CancellationToken _cancel;

    private Checks(AslNamespace names, DiagnosticBag bag, CancellationToken cancel) => (_names, _bag, _cancel) = (names, bag, cancel);

    public static void Run(AslFile file, RegisterLayouts layouts, DiagnosticBag bag, CancellationToken cancel)
    {
        var checks = new Checks(AslNamespace.Collect(file, layouts, bag), bag, cancel);
        foreach (AslUnit unit in file.Units)
        {
            if (unit.Kind != UnitKind.Table)
            {
                foreach (AslNode term in unit.Terms) checks.RootPath(unit, term);
            }
            checks.Terms(unit.Terms, []);
            MethodFlow.OutsideMethods(unit.Terms, bag);
        }
    }

    /// <summary>A fragment is appended to whatever table, so each of its objects must say where it belongs.</summary>
    private void RootPath(AslUnit unit, AslNode term)
    {
        if (term.Is("External")) return;
        AslNode? name = term.Arg(0);
        bool named = AslOperators.Find(term.Op)?.Args.StartsWith("n", StringComparison.Ordinal) == true || term.Is("Scope");
        if (!named || name is null)
            _bag.Report(AcpiDiagnostics.NotRootPathed, term.At, $"'{term.At.Text}' cannot stand at the top of a fragment; put it into a device with a path from the root");
        else if (name.Op == AslNode.Name && !name.Value.StartsWith("\\", StringComparison.Ordinal))
            _bag.Report(AcpiDiagnostics.NotRootPathed, name.At, $"'{name.Value}' has no path from the root, but a fragment is appended to any table; write \\_SB.{name.Value}");
        else if (term.Op is "Registers" or "Field")
            _bag.Report(AcpiDiagnostics.NotRootPathed, term.At, $"'{term.Op}' cannot stand at the top of a fragment, where its fields would be names of the root; put it into a device");
        else if (unit.Kind == UnitKind.Each && name.Value.IndexOf("${", StringComparison.Ordinal) < 0)
            _bag.Report(AcpiDiagnostics.NotRootPathed, name.At, $"'{name.Value}' would be declared once by each copy of '{unit.Name}'; put a slot into its name");
    }

    private void Terms(IEnumerable<AslNode> terms, string[] scope)
    {
        foreach (AslNode term in terms) Node(term, scope);
    }

    private void Node(AslNode? node, string[] scope)
    {
        if (node is null) return;
        _cancel.ThrowIfCancellationRequested();
        switch (node.Op)
        {
            case AslNode.Name: Reference(node, scope, calls: true); return;
            case AslNode.Call: Call(node, scope); break;
            case "External" or "EisaId" or "ToUUID" or "ResourceTemplate": return;
            case "Field": Object(node.Arg(0), scope); return;
            case "IndexField": Object(node.Arg(0), scope); Object(node.Arg(1), scope); return;
            case "BankField": Object(node.Arg(0), scope); Object(node.Arg(1), scope); Node(node.Arg(2), scope); return;
            case "OperationRegion": Node(node.Arg(2), scope); Node(node.Arg(3), scope); return;
            case "Registers": Node(node.Arg(2), scope); return;
            case "Method": MethodFlow.Check(node, _bag); break;
            case "Package": Node(node.Arg(0), scope); foreach (AslNode item in node.Body ?? []) Item(item, scope); return;
        }
        string args = AslOperators.Find(node.Op)?.Args ?? new string('t', node.Args.Count);
        for (int i = 0; i < Math.Min(args.Length, node.Args.Count); i++)
        {
            // The index of a Create...Field may name a descriptor's field; the encoder knows those.
            bool tag = i == 1 && node.Op.StartsWith("Create", StringComparison.Ordinal);
            if (tag && node.Args[i] is { Op: AslNode.Name }) continue;
            if (args[i] is 's' or 'T') Object(node.Args[i], scope);
            else if (args[i] is 't' or 'o' || node.Op == "Buffer" || node.Op == "ToString") Node(node.Args[i], scope);
        }
        if (node.Body is null) return;
        bool opens = node.Op is "Scope" or "Device" or "ThermalZone" or "PowerResource" or "Processor" or "Method";
        Terms(node.Body, opens && node.Arg(0) is { Op: AslNode.Name } name ? AslNamespace.Absolute(scope, NamePath.Parse(name.Value)) : scope);
    }

    private void Item(AslNode item, string[] scope)
    {
        if (item.Is(AslNode.Name)) Object(item, scope);
        else Node(item, scope);
    }

    /// <summary>An object itself is meant, not its value: a method's name stands here without a call.</summary>
    private void Object(AslNode? node, string[] scope)
    {
        if (node is { Op: AslNode.Name }) Reference(node, scope, calls: false);
        else Node(node, scope);
    }

    private AslSymbol? Reference(AslNode node, string[] scope, bool calls)
    {
        NamePath path = NamePath.Parse(node.Value);
        if (path.Segments.Any(static s => s.Length > 4 && s.IndexOf('$') < 0)) return null; // a bad name is the encoder's to report
        if (!_names.Find(scope, node.Value, out AslSymbol? symbol))
        {
            string? other = _names.Symbols.FirstOrDefault(s => s.Path.EndsWith("." + path.Last, StringComparison.Ordinal))?.Path;
            _bag.Report(AcpiDiagnostics.UnknownPath, node.At, node.Value, other is null ? $"define it, or declare External ({node.Value})" : $"did you mean '{other}'?");
        }
        else if (calls && symbol is { Kind: "Method", Args: > 0 })
            _bag.Report(AcpiDiagnostics.ArgumentCount, node.At, node.Value, $"{symbol.Args} argument(s) as declared in line {symbol.At.Line + 1}", "none");
        return symbol;
    }

    private void Call(AslNode node, string[] scope)
    {
        AslSymbol? symbol = Reference(node, scope, calls: false);
        foreach (AslNode? arg in node.Args)
        {
            if (arg is null) _bag.Report(AcpiDiagnostics.ArgumentCount, node.At, node.Value, "a value for every argument", "empty ones");
        }
        if (symbol is null || symbol.Args < 0) return;
        if (!symbol.IsMethod)
            _bag.Report(AcpiDiagnostics.ArgumentCount, node.At, node.Value, $"no arguments, being a {symbol.Kind} of line {symbol.At.Line + 1}", $"{node.Args.Count}");
        else if (symbol.Args != node.Args.Count)
            _bag.Report(AcpiDiagnostics.ArgumentCount, node.At, node.Value, $"{symbol.Args} argument(s) as declared in line {symbol.At.Line + 1}", $"{node.Args.Count}");
    }
}
