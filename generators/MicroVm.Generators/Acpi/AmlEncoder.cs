namespace MicroVm.Generators.Acpi;

/// <summary>Turns terms into AML (ACPI 6.5, 20.2). It optimises nothing: full paths, prefixed integers, so that a slot's value never moves a byte.</summary>
internal sealed partial class AmlEncoder
{
    private readonly DiagnosticBag _bag;
    private readonly RegisterLayouts _layouts;
    private readonly AslUnit _unit;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly CancellationToken _cancel;

    private AmlEncoder(AslUnit unit, RegisterLayouts layouts, DiagnosticBag bag, CancellationToken cancel) =>
        (_unit, _layouts, _bag, _cancel) = (unit, layouts, bag, cancel);

    /// <summary>The AML of <paramref name="unit"/>, with the table header where it has one.</summary>
    public static AmlWriter Encode(AslUnit unit, RegisterLayouts layouts, DiagnosticBag bag, CancellationToken cancel)
    {
        var encoder = new AmlEncoder(unit, layouts, bag, cancel);
        var writer = new AmlWriter();
        if (unit.Kind == UnitKind.Table) Header(unit, writer);
        encoder.Terms(unit.Terms, writer);
        foreach (AslParam param in unit.Params)
        {
            if (!encoder._used.Contains(param.Name))
                bag.Report(AcpiDiagnostics.BadParam, param.At, $"parameter '{param.Name}' is in no slot; write ${{{param.Name}}} where it belongs, or remove it");
        }
        return writer;
    }

    /// <summary>System description table header (ACPI 6.5, 5.2.6). Length and checksum are set when the table is written.</summary>
    private static void Header(AslUnit unit, AmlWriter w)
    {
        w.Mark(unit.At.Line);
        w.Ascii(unit.Signature.PadRight(4));
        w.Number(0, 4);
        w.Byte(2); // revision 2: integers have 64 bits
        w.Byte(0);
        w.Ascii(unit.OemId.PadRight(6, '\0'));
        w.Ascii(unit.OemTableId.PadRight(8, '\0'));
        w.Number(unit.OemRevision, 4);
        w.Ascii("MVGN");
        w.Number(1, 4);
    }

    private void Terms(List<AslNode> terms, AmlWriter w)
    {
        for (int i = 0; i < terms.Count; i++)
        {
            _cancel.ThrowIfCancellationRequested();
            AslNode term = terms[i];
            bool afterIf = i > 0 && terms[i - 1].Op is "If" or "ElseIf";
            if (term.Op is "Else" or "ElseIf" && !afterIf) _bag.Report(AcpiDiagnostics.Syntax, term.At, $"expected 'If' before '{term.Op}', found nothing");
            if (term.Op is AslNode.Integer or AslNode.Text or AslNode.Slot) _bag.Report(AcpiDiagnostics.Syntax, term.At, $"expected a statement or declaration, found a value");
            w.Mark(term.At.Line);
            if (term.Is("ElseIf")) ElseIf(terms, ref i, w);
            else Term(term, w);
        }
    }

    /// <summary><c>ElseIf</c> is <c>Else { If ... }</c>, and what follows it belongs inside.</summary>
    private void ElseIf(List<AslNode> terms, ref int i, AmlWriter w)
    {
        var inner = new AmlWriter();
        Operator(terms[i], AslOperators.Find("If")!, inner);
        if (i + 1 < terms.Count && terms[i + 1].Is("ElseIf")) { i++; ElseIf(terms, ref i, inner); }
        else if (i + 1 < terms.Count && terms[i + 1].Is("Else")) { i++; inner.Mark(terms[i].At.Line); Term(terms[i], inner); }
        w.Byte(0xA1);
        w.Package(inner);
    }

    private void Term(AslNode? node, AmlWriter w)
    {
        switch (node?.Op)
        {
            case null: w.Byte(0); break;
            case AslNode.Integer: w.Integer(node.Number); break;
            case AslNode.Text: w.Byte(0x0D); w.Ascii(node.Value); w.Byte(0); break;
            case AslNode.Slot: TermSlot(node, w); break;
            case AslNode.Name: NameString(node, w); break;
            case AslNode.Call: NameString(node, w); foreach (AslNode? arg in node.Args) Term(arg, w); break;
            case "EisaId": w.Byte(0x0C); w.Number(EisaId(node), 4); break;
            case "ToUUID": Uuid(node, w); break;
            case "ToString": w.Byte(0x9C); Term(node.Arg(0), w); LengthOrOnes(node.Arg(1), w); Term(node.Arg(2), w); break;
            case "Package": Package(node, w); break;
            case "Buffer": Buffer(node, w); break;
            case "ResourceTemplate": ResourceTemplate(node, w); break;
            case "Method": Method(node, w); break;
            case "Mutex": w.Byte(0x5B); w.Byte(0x01); NameString(node.Arg(0), w); Constant(node.Arg(1), 1, w); break;
            case "OperationRegion": Region(node, w); break;
            case "Field" or "IndexField" or "BankField": FieldList(node, w); break;
            case "Registers": Registers(node, w); break;
            case "External": break; // says something to the compiler only
            case "CreateDWordField" or "CreateWordField" or "CreateByteField" or "CreateBitField" or "CreateQWordField" or "CreateField": CreateField(node, w); break;
            default: Operator(node, AslOperators.Find(node.Op)!, w); break;
        }
    }

    private void LengthOrOnes(AslNode? length, AmlWriter w)
    {
        if (length is null) w.Byte(0xFF);
        else Term(length, w);
    }

    private void Operator(AslNode node, AslOperator op, AmlWriter w)
    {
        if (op.Opcode.Length == 0)
        {
            _bag.Report(AcpiDiagnostics.Syntax, node.At, $"'{node.Op}' cannot stand here: it belongs into a ResourceTemplate");
            return;
        }
        if (node.Is("Name") && node.Arg(0) is { } named) _bufferName = NamePath.Parse(named.Value).Last;
        w.Raw(op.Opcode);
        var content = op.Body == BodyKind.None ? w : new AmlWriter();
        for (int i = 0; i < op.Args.Length; i++)
        {
            AslNode? arg = node.Arg(i);
            switch (op.Args[i])
            {
                case 'n': NameString(arg, content); break;
                case 'b': Constant(arg, 1, content); break;
                case 'w': Constant(arg, 2, content); break;
                case 'd': Constant(arg, 4, content); break;
                default: Term(arg, content); break;
            }
        }
        if (op.Body == BodyKind.None) return;
        Terms(node.Body ?? [], content);
        w.Package(content);
    }

    private void Method(AslNode node, AmlWriter w)
    {
        var content = new AmlWriter();
        NameString(node.Arg(0), content);
        ulong count = Plain(node.Arg(1), 7), level = Plain(node.Arg(3), 15);
        content.Byte((int)(count | (ulong)Keyword(node, 2, Keywords.Serialize, 0) << 3 | level << 4));
        Terms(node.Body ?? [], content);
        w.Byte(0x14);
        w.Package(content);
    }

    private void Package(AslNode node, AmlWriter w)
    {
        List<AslNode> items = node.Body ?? [];
        AslNode? size = node.Arg(0);
        ulong count = size is { Op: AslNode.Integer } ? size.Number : (ulong)items.Count;
        if (count < (ulong)items.Count) _bag.Report(AcpiDiagnostics.Syntax, node.At, $"expected at most {count} elements as declared, found {items.Count}");
        bool variable = size is not null and not { Op: AslNode.Integer } || count > 255;
        var content = new AmlWriter();
        if (!variable) content.Byte((int)count);
        else if (size is null) content.Integer(count);
        else Term(size, content);
        foreach (AslNode item in items)
        {
            if (item.Op is not (AslNode.Integer or AslNode.Text or AslNode.Slot or AslNode.Name or "Package" or "Buffer" or "ResourceTemplate" or "EisaId" or "ToUUID" or "Zero" or "One" or "Ones"))
                _bag.Report(AcpiDiagnostics.Syntax, item.At, $"expected a constant or a name in the package, found '{item.At.Text}'; store it with Index at run time");
            Term(item, content);
        }
        w.Byte(variable ? 0x13 : 0x12);
        w.Package(content);
    }

    private void Buffer(AslNode node, AmlWriter w)
    {
        var bytes = new AmlWriter();
        foreach (AslNode item in node.Body ?? [])
        {
            if (item.Is(AslNode.Text)) { bytes.Ascii(item.Value); bytes.Byte(0); }
            else Constant(item, 1, bytes);
        }
        var content = new AmlWriter();
        AslNode? size = node.Arg(0);
        if (size is null or { Op: AslNode.Integer }) content.Integer(Math.Max(size?.Number ?? 0, (ulong)bytes.Length));
        else Term(size, content);
        content.Append(bytes);
        w.Byte(0x11);
        w.Package(content);
    }

    private static void RawBuffer(AmlWriter bytes, AmlWriter w)
    {
        var content = new AmlWriter();
        content.Integer((ulong)bytes.Length);
        content.Append(bytes);
        w.Byte(0x11);
        w.Package(content);
    }

    /// <summary>"PNP0A08" in 32 bits: three letters of 5 bits, four hexadecimal digits (ACPI 6.5, 6.1.5).</summary>
    private uint EisaId(AslNode node)
    {
        AslNode? arg = node.Arg(0);
        string id = arg is { Op: AslNode.Text } ? arg.Value : "";
        if (id.Length != 7 || !id.Take(3).All(static c => c is >= 'A' and <= 'Z') || !id.Skip(3).All(static c => c is >= '0' and <= '9' or >= 'A' and <= 'F'))
        {
            _bag.Report(AcpiDiagnostics.BadName, arg?.At ?? node.At, $"\"{id}\" is no EISA id; write three capital letters and four hexadecimal digits, as in \"PNP0A08\"");
            return 0;
        }
        uint value = (uint)(id[0] - '@') << 26 | (uint)(id[1] - '@') << 21 | (uint)(id[2] - '@') << 16 | Convert.ToUInt32(id.Substring(3), 16);
        return value >> 24 | value >> 8 & 0xFF00 | value << 8 & 0xFF_0000 | value << 24;
    }

    /// <summary>A UUID as a buffer (ACPI 6.5, 19.6.143): the first three groups little-endian, which is what <see cref="Guid"/> does.</summary>
    private void Uuid(AslNode node, AmlWriter w)
    {
        AslNode? arg = node.Arg(0);
        string text = arg is { Op: AslNode.Text } ? arg.Value : "";
        if (!Guid.TryParseExact(text, "D", out Guid id))
            _bag.Report(AcpiDiagnostics.BadName, arg?.At ?? node.At, $"\"{text}\" is no UUID; write it as in \"33DB4D5B-1FF7-401C-9657-7441C03DD766\"");
        var bytes = new AmlWriter();
        bytes.Raw(id.ToByteArray());
        RawBuffer(bytes, w);
    }

    private void CreateField(AslNode node, AmlWriter w)
    {
        AslOperator op = AslOperators.Find(node.Op)!;
        w.Raw(op.Opcode);
        Term(node.Arg(0), w);
        Index(node, node.Op is "CreateBitField" or "CreateField", w);
        if (node.Is("CreateField")) Term(node.Arg(2), w);
        NameString(node.Arg(op.Args.Length - 1), w);
    }

    /// <summary>An index, which may name a field of a descriptor: <c>CRS.MEM0._MIN</c>.</summary>
    private void Index(AslNode node, bool bits, AmlWriter w)
    {
        if (node.Arg(1) is { Op: AslNode.Name } name && NamePath.Parse(name.Value).Segments is var segments && segments.Length >= 2 && segments[segments.Length - 1].StartsWith("_", StringComparison.Ordinal))
        {
            string key = $"{segments[segments.Length - 2]}.{segments[segments.Length - 1]}";
            string buffer = node.Arg(0) is { Op: AslNode.Name } b ? NamePath.Parse(b.Value).Last : "";
            if (_tags.TryGetValue($"{buffer}.{key}", out int offset)) w.Integer((ulong)(bits ? offset * 8 : offset));
            else _bag.Report(AcpiDiagnostics.UnknownPath, name.At, name.Value, $"'{buffer}' has no descriptor field {key}; name the descriptor in its last argument");
            return;
        }
        Term(node.Arg(1), w);
    }
}
