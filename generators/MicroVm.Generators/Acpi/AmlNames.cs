namespace MicroVm.Generators.Acpi;

/// <summary>A path in its parts: <c>\</c>, <c>^</c>s, and segments of up to 4 characters, which may hold a slot.</summary>
internal readonly record struct NamePath(bool Root, int Parents, string[] Segments)
{
    public string Last => Segments.Length == 0 ? "" : Segments[Segments.Length - 1];

    public static NamePath Parse(string text)
    {
        bool root = text.StartsWith("\\", StringComparison.Ordinal);
        int at = root ? 1 : 0, parents = 0;
        for (; at < text.Length && text[at] == '^'; at++) parents++;
        if (at == text.Length) return new(root, parents, []);
        // A dot inside ${Block.Constant} divides nothing.
        var segments = new List<string>();
        int start = at, depth = 0;
        for (; at <= text.Length; at++)
        {
            if (at < text.Length && text[at] == '{') depth++;
            if (at < text.Length && text[at] == '}') depth--;
            if (at < text.Length && (text[at] != '.' || depth > 0)) continue;
            segments.Add(Normal(text.Substring(start, at - start)));
            start = at + 1;
        }
        return new(root, parents, [.. segments]);
    }

    /// <summary>Names are upper case, and padded with <c>_</c>, which does not count.</summary>
    private static string Normal(string segment)
    {
        if (segment.IndexOf('$') >= 0) return segment;
        string upper = segment.ToUpperInvariant();
        return upper.Length <= 4 ? upper.PadRight(4, '_') : upper;
    }
}

/// <summary>Names, slots and plain numbers.</summary>
internal sealed partial class AmlEncoder
{
    private void NameString(AslNode? node, AmlWriter w)
    {
        if (node is null) { w.Byte(0); return; }
        if (node.Op is not (AslNode.Name or AslNode.Call))
        {
            string what = node.Is(AslNode.Text) ? $"\"{node.Value}\"" : $"'{node.At.Text}'";
            _bag.Report(AcpiDiagnostics.BadName, node.At, $"{what} is no name; write a path such as \\_SB.DEV0");
            return;
        }
        NamePath path = NamePath.Parse(node.Value);
        if (path.Root) w.Byte('\\');
        for (int i = 0; i < path.Parents; i++) w.Byte('^');
        if (path.Segments.Length == 0) w.Byte(0);
        if (path.Segments.Length == 2) w.Byte(0x2E);
        if (path.Segments.Length > 2) { w.Byte(0x2F); w.Byte(path.Segments.Length); }
        foreach (string segment in path.Segments) Segment(node, segment, w);
        if (!path.Root && path.Parents == 0 && path.Segments.Length == 1) NotKeyword(node, node.Value);
    }

    /// <summary>Keywords of ASL have no case: a name that is one in capitals reads as the keyword to every other compiler.</summary>
    private void NotKeyword(AslNode node, string name)
    {
        if (name.Length <= 4 && Reserved.Contains(name.ToUpperInvariant()))
            _bag.Report(AcpiDiagnostics.BadName, node.At, $"'{name}' is a keyword of ASL, which has no case; choose another name");
    }

    private static readonly HashSet<string> Reserved = new(
        "ADD AND CASE DMA EDGE ELSE FOR IF IO IRQ IPMI LAND LNOT LOAD LOCK LOR MID MOD NAME NAND NOOP NOR NOT ONE ONES OR PCC WAIT XOR ZERO ARG0 ARG1 ARG2 ARG3 ARG4 ARG5 ARG6".Split(' '),
        StringComparer.Ordinal);

    private void Segment(AslNode node, string segment, AmlWriter w)
    {
        int open = segment.IndexOf("${", StringComparison.Ordinal);
        int close = segment.IndexOf('}');
        string head = open < 0 ? segment : segment.Substring(0, open), tail = open < 0 ? "" : segment.Substring(close + 1);
        int digits = open < 0 ? 0 : 4 - head.Length - tail.Length;
        bool good = head.Length > 0 && head[0] is (>= 'A' and <= 'Z') or '_' && head.Length + tail.Length + digits == 4 && (open < 0 || digits > 0)
            && (head + tail).All(static c => c is >= 'A' and <= 'Z' or >= '0' and <= '9' or '_');
        if (!good)
        {
            _bag.Report(AcpiDiagnostics.BadName, node.At, $"'{segment}' is no name of up to 4 characters; begin with a letter or '_' and use capitals, digits and '_'");
            return;
        }
        w.Ascii(head);
        if (open >= 0) DigitSlot(node, segment.Substring(open + 2, close - open - 2), digits, w);
        w.Ascii(tail);
    }

    private void DigitSlot(AslNode node, string name, int digits, AmlWriter w)
    {
        if (FindParam(node, name) is not { } param) return;
        if (param.Bits > digits * 4)
            _bag.Report(AcpiDiagnostics.NarrowSlot, node.At, name, $"{param.Bits}", $"{digits} hexadecimal digit(s)", $"u{digits * 4}");
        w.Slot(digits, hexDigits: true, name, node.At.Line);
    }

    private AslParam? FindParam(AslNode node, string name)
    {
        _used.Add(name);
        AslParam? param = _unit.Params.FirstOrDefault(p => p.Name == name);
        if (param is null) _bag.Report(AcpiDiagnostics.BadParam, node.At, $"'{name}' is no parameter of this {Where}; declare it with 'param {name} : u32'");
        return param;
    }

    private string Where => _unit.Kind == UnitKind.Each ? $"'each {_unit.Name}'" : "file";

    /// <summary>A slot with a dot is a constant of <c>devices.def</c>.</summary>
    private ulong? DefinedConstant(AslNode node)
    {
        if (node.Value.IndexOf('.') < 0) return null;
        if (_layouts.Constant(node.Value) is { } value) return value;
        _bag.Report(AcpiDiagnostics.BadParam, node.At, $"'{node.Value}' is no constant of devices.def; declare it there in a 'consts' block");
        return 0;
    }

    private void TermSlot(AslNode node, AmlWriter w)
    {
        if (DefinedConstant(node) is { } constant) { w.Integer(constant); return; }
        if (FindParam(node, node.Value) is not { } param) return;
        (int prefix, int width) = param.Bits switch { <= 8 => (0x0A, 1), <= 16 => (0x0B, 2), <= 32 => (0x0C, 4), _ => (0x0E, 8) };
        w.Byte(prefix);
        w.Slot(width, hexDigits: false, node.Value, node.At.Line);
    }

    /// <summary>A number without prefix in <paramref name="width"/> bytes, or a slot of that width.</summary>
    private void Constant(AslNode? node, int width, AmlWriter w, ulong missing = 0)
    {
        if (node is { Op: AslNode.Slot } && DefinedConstant(node) is null)
        {
            if (FindParam(node, node.Value) is { } param && param.Bits > width * 8)
                _bag.Report(AcpiDiagnostics.NarrowSlot, node.At, node.Value, $"{param.Bits}", $"{width * 8} bits", $"u{width * 8}");
            w.Slot(width, hexDigits: false, node.Value, node.At.Line);
            return;
        }
        w.Number(Plain(node, width == 8 ? ulong.MaxValue : (1ul << (width * 8)) - 1, missing), width);
    }

    /// <summary>A number known now, at most <paramref name="max"/>.</summary>
    private ulong Plain(AslNode? node, ulong max, ulong missing = 0)
    {
        ulong? value = node?.Op switch
        {
            null => missing,
            AslNode.Integer => node.Number,
            AslNode.Slot => DefinedConstant(node),
            "Zero" => 0,
            "One" => 1,
            _ => null,
        };
        if (value is { } number && number <= max) return number;
        _bag.Report(AcpiDiagnostics.Syntax, node!.At, $"expected a number of at most 0x{max:X}, found '{node.At.Text}'");
        return 0;
    }

    /// <summary>The value of one of the closed words that an argument takes.</summary>
    private int Keyword(AslNode node, int index, Dictionary<string, int> words, int missing)
    {
        AslNode? arg = node.Arg(index);
        if (arg is null) return missing;
        if (arg.Is(AslNode.Name) && words.TryGetValue(arg.Value, out int value)) return value;
        _bag.Report(AcpiDiagnostics.Syntax, arg.At, $"expected {string.Join(" or ", words.Keys)}, found '{arg.At.Text}'");
        return missing;
    }
}
