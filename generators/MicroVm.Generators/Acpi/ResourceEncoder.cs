namespace MicroVm.Generators.Acpi;

/// <summary>Resource descriptors (ACPI 6.5, 6.4).</summary>
internal sealed partial class AmlEncoder
{
    /// <summary>Where a descriptor's field stands in its template: <c>CRS.MEM0._MIN</c> and its byte.</summary>
    private readonly Dictionary<string, int> _tags = new(StringComparer.Ordinal);
    private string _bufferName = "";

    private void ResourceTemplate(AslNode node, AmlWriter w)
    {
        var bytes = new AmlWriter();
        foreach (AslNode item in node.Body ?? [])
        {
            bytes.Mark(item.At.Line);
            Descriptor(item, bytes);
        }
        bytes.Byte(0x79); // end tag (6.4.2.9); checksum 0 means "not computed"
        bytes.Byte(0);
        RawBuffer(bytes, w);
    }

    private void Descriptor(AslNode d, AmlWriter w)
    {
        switch (d.Op)
        {
            case "IO": Io(d, w); break;
            case "FixedIO": w.Byte(0x4B); Field(d, 2, "_BAS", w, 0); Field(d, 1, "_LEN", w, 1); Done(d, 2); CheckMap(d.Arg(0), Length(d.Arg(1)), io: true); break;
            case "IRQ": w.Byte(0x23); Mask(d, 2, w); w.Byte(IrqFlags(d, 0)); Done(d, 3); break;
            case "IRQNoFlags": w.Byte(0x22); Mask(d, 2, w); Done(d, 0); break;
            case "DMA": w.Byte(0x2A); Mask(d, 1, w); w.Byte(Keyword(d, 0, Keywords.DmaType, 0) << 5 | Keyword(d, 1, Keywords.BusMaster, 0) << 2 | Keyword(d, 2, Keywords.Transfer, 0)); Done(d, 3); break;
            case "Interrupt": Interrupt(d, w); break;
            case "Memory24": MemoryRange(d, 0x81, 2, w); break;
            case "Memory32": MemoryRange(d, 0x85, 4, w); break;
            case "Memory32Fixed": MemoryFixed(d, w); break;
            case "Register": Register(d, w); break;
            default:
                if (!AddressSpace(d, w)) _bag.Report(AcpiDiagnostics.Syntax, d.At, $"expected a resource descriptor, found '{d.At.Text}'{RegisterFields.Near(d.At.Text, AslOperators.Names).Replace("; declare it there", "")}");
                break;
        }
    }

    private readonly List<(string Name, int Offset)> _pending = [];

    /// <summary>Writes argument <paramref name="index"/> and remembers where, in case the descriptor has a name.</summary>
    private void Field(AslNode d, int width, string name, AmlWriter w, int index)
    {
        _pending.Add((name, w.Length));
        Constant(d.Arg(index), width, w);
    }

    /// <summary>Ends a descriptor: its last argument may name it.</summary>
    private void Done(AslNode d, int tagIndex)
    {
        if (d.Arg(tagIndex) is { } tag)
        {
            foreach ((string name, int offset) in _pending) _tags[$"{_bufferName}.{NamePath.Parse(tag.Value).Last}.{name}"] = offset;
        }
        _pending.Clear();
    }

    private static ulong Length(AslNode? node) => node is { Op: AslNode.Integer } ? node.Number : 1;

    private void Io(AslNode d, AmlWriter w)
    {
        w.Byte(0x47);
        w.Byte(Keyword(d, 0, Keywords.IoDecode, 1));
        Field(d, 2, "_MIN", w, 1);
        Field(d, 2, "_MAX", w, 2);
        Field(d, 1, "_ALN", w, 3);
        Field(d, 1, "_LEN", w, 4);
        Done(d, 5);
        CheckMap(d.Arg(1), Length(d.Arg(4)), io: true);
    }

    private int IrqFlags(AslNode d, int first)
    {
        int share = Keyword(d, first + 2, Keywords.Share, 0);
        return Keyword(d, first, Keywords.Trigger, 1) | Keyword(d, first + 1, Keywords.Polarity, 0) << 3 | share << 4;
    }

    private void Mask(AslNode d, int bytes, AmlWriter w)
    {
        ulong mask = 0;
        foreach (AslNode line in d.Body ?? []) mask |= 1ul << (int)Plain(line, (ulong)(bytes * 8 - 1));
        w.Number(mask, bytes);
    }

    private void Interrupt(AslNode d, AmlWriter w)
    {
        List<AslNode> lines = d.Body ?? [];
        var content = new AmlWriter();
        content.Byte(Keyword(d, 0, Keywords.Usage, 1) | Keyword(d, 1, Keywords.Trigger, 1) << 1 | Keyword(d, 2, Keywords.Polarity, 0) << 2 | Keyword(d, 3, Keywords.Share, 0) << 3);
        if (lines.Count is 0 or > 255) _bag.Report(AcpiDiagnostics.ArgumentCount, d.At, d.Op, "1 to 255 interrupts in braces", $"{lines.Count}");
        content.Byte(lines.Count);
        _pending.Add(("_INT", w.Length + 3 + content.Length));
        foreach (AslNode line in lines) Constant(line, 4, content);
        Source(d, 4, content);
        Done(d, 6);
        Large(0x89, content, w);
    }

    /// <summary>Resource source: an index and the path of the device that gives the resource, where one does.</summary>
    private void Source(AslNode d, int index, AmlWriter w)
    {
        if (d.Arg(index + 1) is not { Op: AslNode.Text } source) return;
        w.Byte((int)Plain(d.Arg(index), 255));
        w.Ascii(source.Value);
        w.Byte(0);
    }

    private static void Large(int tag, AmlWriter content, AmlWriter w)
    {
        w.Byte(tag);
        w.Number((ulong)content.Length, 2);
        w.Append(content);
    }

    private void MemoryRange(AslNode d, int tag, int width, AmlWriter w)
    {
        w.Byte(tag);
        w.Number((ulong)(1 + 4 * width), 2);
        w.Byte(Keyword(d, 0, Keywords.ReadWrite, 1));
        Field(d, width, "_MIN", w, 1);
        Field(d, width, "_MAX", w, 2);
        Field(d, width, "_ALN", w, 3);
        Field(d, width, "_LEN", w, 4);
        Done(d, 5);
        if (width == 4) CheckMap(d.Arg(1), Length(d.Arg(4)), io: false);
    }

    private void MemoryFixed(AslNode d, AmlWriter w)
    {
        w.Byte(0x86);
        w.Number(9, 2);
        w.Byte(Keyword(d, 0, Keywords.ReadWrite, 1));
        Field(d, 4, "_BAS", w, 1);
        Field(d, 4, "_LEN", w, 2);
        Done(d, 3);
        CheckMap(d.Arg(1), Length(d.Arg(2)), io: false);
    }

    private void Register(AslNode d, AmlWriter w)
    {
        w.Byte(0x82);
        w.Number(12, 2);
        w.Byte(Keyword(d, 0, Keywords.Space, 0));
        Field(d, 1, "_RBW", w, 1);
        Field(d, 1, "_RBO", w, 2);
        Constant(d.Arg(4), 1, w);
        Field(d, 8, "_ADR", w, 3);
        Done(d, 5);
    }

    /// <summary>Word, DWord and QWord address spaces: memory, ports and bus numbers (6.4.3.5).</summary>
    private bool AddressSpace(AslNode d, AmlWriter w)
    {
        (int tag, int width) = d.Op switch
        {
            "WordIO" or "WordBusNumber" => (0x88, 2),
            "DWordIO" or "DWordMemory" => (0x87, 4),
            "QWordIO" or "QWordMemory" => (0x8A, 8),
            _ => (0, 0),
        };
        if (width == 0) return false;
        bool memory = d.Op.EndsWith("Memory", StringComparison.Ordinal), bus = d.Op.EndsWith("BusNumber", StringComparison.Ordinal);
        // The order of arguments differs: memory has decode before the bounds, the others behind them (19.6).
        int minAt = memory ? 2 : 1, decodeAt = memory ? 1 : 3, first = memory ? 6 : bus ? 4 : 5;
        int fixedMin = Keyword(d, minAt, Keywords.Min, 0), fixedMax = Keyword(d, minAt + 1, Keywords.Max, 0);
        var content = new AmlWriter();
        content.Byte(memory ? 0 : bus ? 2 : 1);
        content.Byte(Keyword(d, 0, Keywords.Usage, 1) | Keyword(d, decodeAt, Keywords.Decode, 0) << 1 | fixedMin << 2 | fixedMax << 3);
        content.Byte(memory ? MemoryFlags(d) : bus ? 0 : IoFlags(d));
        string[] names = ["_GRA", "_MIN", "_MAX", "_TRA", "_LEN"];
        for (int i = 0; i < 5; i++)
        {
            _pending.Add((names[i], w.Length + 3 + content.Length));
            Constant(d.Arg(first + i), width, content);
        }
        Source(d, first + 5, content);
        Done(d, first + 7);
        Large(tag, content, w);
        CheckLength(d, first, fixedMin & fixedMax, memory);
        return true;
    }

    private int MemoryFlags(AslNode d) =>
        Keyword(d, 5, Keywords.ReadWrite, 1) | Keyword(d, 4, Keywords.Cache, 0) << 1 | Keyword(d, 14, Keywords.MemoryType, 0) << 3 | Keyword(d, 15, Keywords.Translation, 0) << 5;

    private int IoFlags(AslNode d) =>
        Keyword(d, 4, Keywords.Ranges, 3) | Keyword(d, 13, Keywords.Translation, 0) << 4 | Keyword(d, 14, Keywords.Density, 0) << 5;

    private void CheckLength(AslNode d, int first, int isFixed, bool memory)
    {
        if (d.Arg(first + 1) is not { Op: AslNode.Integer } min || d.Arg(first + 2) is not { Op: AslNode.Integer } max || d.Arg(first + 4) is not { Op: AslNode.Integer } length) return;
        ulong right = max.Number - min.Number + 1;
        if (isFixed == 1 && length.Number != right)
            _bag.Report(AcpiDiagnostics.BadLength, length.At, $"0x{length.Number:X}", $"0x{max.Number:X}", $"0x{min.Number:X}", $"0x{right:X}");
        // A named descriptor is filled in at run time: what stands here is only its shape.
        if (memory && d.Arg(first + 7) is null) CheckMap(min, length.Number, io: false);
    }
}
