namespace MicroVm.Generators.Acpi;

/// <summary>MVG111: a register that reading clears, read in two places of a method, loses what happened in between.</summary>
internal static class ReadTwice
{
    public static void Run(AslFile file, RegisterLayouts layouts, DiagnosticBag bag, CancellationToken cancel)
    {
        AslNamespace names = AslNamespace.Collect(file, layouts, null);
        if (!names.Symbols.Any(static s => s.Register is { ReadClears: true })) return;
        foreach (AslUnit unit in file.Units) Terms(unit.Terms, [], names, bag, null, cancel);
    }

    private static void Terms(IEnumerable<AslNode?> nodes, string[] scope, AslNamespace names, DiagnosticBag bag, Dictionary<string, int>? seen, CancellationToken cancel)
    {
        foreach (AslNode? node in nodes)
        {
            cancel.ThrowIfCancellationRequested();
            if (node is null) continue;
            if (node.Is(AslNode.Name)) Read(node, scope, names, bag, seen);
            string args = AslOperators.Find(node.Op)?.Args ?? new string('t', node.Args.Count);
            // Where a name is declared or stored to, it is not read.
            var read = node.Args.Where((a, i) => i >= args.Length || args[i] is 't' or 'o' or '*' || a is { Op: not AslNode.Name });
            Terms(read, scope, names, bag, seen, cancel);
            if (node.Body is null || AslOperators.Find(node.Op)?.Body is BodyKind.Fields or BodyKind.Resources) continue;
            bool opens = node.Op is "Scope" or "Device" or "Method" && node.Arg(0) is { Op: AslNode.Name };
            string[] inner = opens ? AslNamespace.Absolute(scope, NamePath.Parse(node.Arg(0)!.Value)) : scope;
            Terms(node.Body, inner, names, bag, node.Is("Method") ? new(StringComparer.Ordinal) : seen, cancel);
        }
    }

    private static void Read(AslNode node, string[] scope, AslNamespace names, DiagnosticBag bag, Dictionary<string, int>? seen)
    {
        if (seen is null || !names.Find(scope, node.Value, out AslSymbol? symbol) || symbol?.Register is not { ReadClears: true } register) return;
        // Bit fields of one register are read through the same register.
        string key = symbol.Block + "." + register.Name.Split('.')[0];
        if (seen.TryGetValue(key, out int line)) bag.Report(AcpiDiagnostics.ReadTwice, node.At, node.Value, register.Name, symbol.Block, $"{line + 1}");
        else seen[key] = node.At.Line;
    }
}
