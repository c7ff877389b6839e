namespace MicroVm.Generators.Acpi;

/// <summary>Follows a method from term to term: a Local is set on every way before it is read, and an Arg was passed or set.</summary>
internal sealed class MethodFlow
{
    private const uint Everything = uint.MaxValue;

    private readonly DiagnosticBag _bag;
    private readonly string _method;
    private readonly int _args;

    /// <summary>Bit 0-7: Local0-7, bit 8-14: Arg0-6.</summary>
    private uint _set;

    private MethodFlow(string method, int args, DiagnosticBag bag)
    {
        (_method, _args, _bag) = (method, args, bag);
        _set = ((1u << args) - 1) << 8;
    }

    public static void Check(AslNode method, DiagnosticBag bag)
    {
        int args = method.Arg(1) is { Op: AslNode.Integer, Number: <= 7 } count ? (int)count.Number : 0;
        new MethodFlow(method.Arg(0)?.Value ?? "", args, bag).Terms(method.Body ?? []);
    }

    /// <summary>Outside a method there are neither Locals nor Args.</summary>
    public static void OutsideMethods(IEnumerable<AslNode?> nodes, DiagnosticBag bag)
    {
        foreach (AslNode? node in nodes)
        {
            if (node is null || node.Is("Method")) continue;
            if (Bit(node) >= 0) bag.Report(AcpiDiagnostics.UseBeforeSet, node.At, $"'{node.Op}' stands outside a method, where nothing sets it; use a Name");
            OutsideMethods(node.Args, bag);
            if (node.Body is not null) OutsideMethods(node.Body, bag);
        }
    }

    private static int Bit(AslNode node)
    {
        if (node.Op.Length == 6 && node.Op.StartsWith("Local", StringComparison.Ordinal)) return node.Op[5] - '0';
        if (node.Op.Length == 4 && node.Op.StartsWith("Arg", StringComparison.Ordinal) && node.Op[3] is >= '0' and <= '6') return node.Op[3] - '0' + 8;
        return -1;
    }

    private void Terms(List<AslNode> terms)
    {
        for (int i = 0; i < terms.Count; i++)
        {
            if (terms[i].Is("If")) Branches(terms, ref i);
            else Term(terms[i]);
        }
    }

    /// <summary>After If, ElseIf and Else is set what every branch sets; a branch that leaves does not count.</summary>
    private void Branches(List<AslNode> terms, ref int i)
    {
        uint merged = Everything;
        bool always = false;
        do
        {
            AslNode branch = terms[i];
            always = branch.Is("Else");
            if (!always) Term(branch.Arg(0));
            uint before = _set;
            Terms(branch.Body ?? []);
            merged &= _set;
            _set = before;
        }
        while (!always && i + 1 < terms.Count && terms[i + 1].Op is "ElseIf" or "Else" && ++i > 0);
        _set = always ? merged : merged & _set;
    }

    private void Term(AslNode? node)
    {
        if (node is null) return;
        if (Bit(node) is var bit and >= 0) { Read(node, bit); return; }
        switch (node.Op)
        {
            case "While":
                Term(node.Arg(0));
                uint before = _set;
                Terms(node.Body ?? []);
                _set = before; // perhaps never entered
                return;
            case "Return" or "Break" or "Continue":
                Arguments(node);
                _set = Everything; // nothing after this is reached
                return;
            case "Store" or "CopyObject":
                Term(node.Arg(0));
                Write(node.Arg(1));
                return;
            case "RefOf" or "ObjectType":
                return; // what it names may well be empty
        }
        Arguments(node);
        if (node.Body is not null) Terms(node.Body);
    }

    private void Arguments(AslNode node)
    {
        string args = AslOperators.Find(node.Op)?.Args ?? "";
        for (int i = 0; i < node.Args.Count; i++)
        {
            if (i >= args.Length || args[i] != 'T') Term(node.Args[i]);
        }
        for (int i = 0; i < Math.Min(args.Length, node.Args.Count); i++)
        {
            if (args[i] == 'T') Write(node.Args[i]);
        }
    }

    private void Write(AslNode? target)
    {
        if (target is null) return;
        if (Bit(target) is var bit and >= 0) _set |= 1u << bit;
        else Term(target); // Index (Local0, 1) and the like read
    }

    private void Read(AslNode node, int bit)
    {
        if ((_set & 1u << bit) != 0) return;
        _bag.Report(AcpiDiagnostics.UseBeforeSet, node.At, bit < 8
            ? $"'{node.Op}' is read before it is set on every way through {_method}; set it first"
            : $"'{node.Op}' is read, but {_method} takes {_args} argument(s); declare {bit - 7}");
        _set |= 1u << bit;
    }
}
