using System.Globalization;
using System.Text;
using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

/// <summary>Reads a <c>.table</c> file: layouts with one field per line. After an error it goes on at the next line.</summary>
internal sealed class TableParser
{
    private const int HeaderSize = 36;

    private readonly DiagnosticBag _bag;
    private readonly RegisterLayouts _layouts;
    private readonly List<TableLayout> _done = [];
    private readonly List<TableField> _fields = [];
    private readonly List<TableFlag> _flags = [];
    private LayoutKind _kind;
    private string _name = "", _signature = "-", _doc = "", _headDoc = "";
    private int _size;
    private Token _head;
    private (TableField Field, List<Token> Chosen, Token At)? _open;

    private TableParser(RegisterLayouts layouts, DiagnosticBag bag) => (_layouts, _bag) = (layouts, bag);

    public static TableResult Parse(string path, string text, RegisterLayouts layouts, CancellationToken cancel)
    {
        var bag = new DiagnosticBag(path);
        var parser = new TableParser(layouts, bag);
        int start = 0, number = 0;
        foreach (string line in text.Split('\n'))
        {
            cancel.ThrowIfCancellationRequested();
            parser.Line(new TableLine(line.TrimEnd('\r'), start, number++));
            start += line.Length + 1;
        }
        parser.EndLayout();
        return new TableResult(new TableFileModel(AslCompiler.ShortPath(path), new([.. parser._done])), bag.ToArray());
    }

    private void Line(TableLine line)
    {
        if (line.Tokens.Count == 0)
        {
            if (_name.Length == 0 && _headDoc.Length == 0) _headDoc = line.Doc;
            return;
        }
        Token first = line.Tokens[0];
        try
        {
            if (first.Column == 0) Head(line);
            else if (_name.Length == 0) throw line.Fail(_bag, 0, "'table', 'layout' or 'entry'");
            else if (first.Column >= 4) FlagRow(line);
            else Field(line);
        }
        catch (FormatException)
        {
            // Reported; the next line is read on its own.
        }
    }

    /// <summary><c>table Fadt "FACP" revision 6 size 276 oem "MICROV" "MICROVM"</c>, <c>entry Name size N</c>, <c>layout Name size N</c>.</summary>
    private void Head(TableLine line)
    {
        EndLayout();
        Token word = line.Tokens[0];
        LayoutKind kind = word.Text switch { "table" => LayoutKind.Table, "entry" => LayoutKind.Entry, "layout" => LayoutKind.Layout, _ => throw line.Fail(_bag, 0, "'table', 'layout' or 'entry'") };
        Token name = line.Expect(_bag, 1, TokenKind.Name, "a name");
        _fields.Clear();
        (_kind, _head, _signature, _doc) = (kind, name, "-", line.Doc.Length > 0 ? line.Doc : _headDoc);
        if (kind == LayoutKind.Table)
        {
            string signature = _signature = Text(line, 2, 4);
            line.Word(_bag, 3, "revision");
            ulong revision = line.Number(_bag, 4, 255);
            line.Word(_bag, 5, "size");
            _size = (int)line.Number(_bag, 6, 0xFFFF);
            line.Word(_bag, 7, "oem");
            Header(signature, (byte)revision, Text(line, 8, 6), Text(line, 9, 8), name.Line);
        }
        else
        {
            line.Word(_bag, 2, "size");
            _size = (int)line.Number(_bag, 3, 0xFFFF);
        }
        _name = name.Text;
    }

    private string Text(TableLine line, int index, int length)
    {
        Token token = line.Expect(_bag, index, TokenKind.String, $"a string of up to {length} characters");
        if (token.Text.Length <= length) return token.Text;
        _bag.Report(AcpiDiagnostics.BadName, token, $"\"{token.Text}\" is longer than {length} characters; shorten it");
        return token.Text.Substring(0, length);
    }

    /// <summary>System description table header (ACPI 6.5, 5.2.6); length and checksum are set when the table is finished.</summary>
    private void Header(string signature, byte revision, string oem, string oemTable, int line)
    {
        var w = new AmlWriter();
        w.Ascii(signature.PadRight(4));
        w.Number(0, 4);
        w.Byte(revision);
        w.Byte(0);
        w.Ascii(oem.PadRight(6, '\0'));
        w.Ascii(oemTable.PadRight(8, '\0'));
        w.Number(1, 4);
        w.Ascii("MVGN");
        w.Number(1, 4);
        _fields.Add(new(FieldKind.Value, "Header", 0, HeaderSize, new(w.ToArray()), 0, 0, new([]), "Signature, length, revision, checksum, OEM and creator", line));
    }

    /// <summary><c>OFFSET Name TYPE VALUE  # doc</c>.</summary>
    private void Field(TableLine line)
    {
        CloseFlags();
        int offset = (int)line.Number(_bag, 0, 0xFFFF);
        Token name = line.Expect(_bag, 1, TokenKind.Name, "a field's name");
        Token type = line.Expect(_bag, 2, TokenKind.Name, "a type: u8 u16 u24 u32 u64 text zero sum gas");
        if (line.Doc.Length == 0) _bag.Report(AcpiDiagnostics.Layout, name, $"field '{name.Text}' has no comment; name the section that describes it");
        if (_fields.FirstOrDefault(f => f.Name == name.Text) is { } twin) _bag.Report(AcpiDiagnostics.Duplicate, name, name.Text, $"{twin.Line + 1}");
        TableField field = new(FieldKind.Value, name.Text, offset, 0, new([]), 0, 0, new([]), line.Doc, name.Line);
        var chosen = new List<Token>();
        switch (type.Text)
        {
            case "u8": field = Integer(line, field, 1, chosen); break;
            case "u16": field = Integer(line, field, 2, chosen); break;
            case "u24": field = Integer(line, field, 3, chosen); break;
            case "u32": field = Integer(line, field, 4, chosen); break;
            case "u64": field = Integer(line, field, 8, chosen); break;
            case "zero": field = Filled(field, new byte[(int)line.Number(_bag, 3, 0xFFFF)]); line.End(_bag, 4); break;
            case "text": field = TextField(line, field); break;
            case "sum":
                field = Filled(field, new byte[1]) with { Kind = FieldKind.Sum, SumStart = (int)line.Number(_bag, 3, 0xFFFF), SumLength = (int)line.Number(_bag, 4, 0xFFFF) };
                line.End(_bag, 5);
                if (field.SumStart + field.SumLength > _size || offset < field.SumStart || offset >= field.SumStart + field.SumLength)
                    _bag.Report(AcpiDiagnostics.Layout, name, $"checksum '{name.Text}' at {offset} is not inside the {field.SumLength} bytes from {field.SumStart} that it covers, or those are not inside the layout; correct the range");
                break;
            case "gas": field = Address(line, field); break;
            default: throw line.Fail(_bag, 2, "a type: u8 u16 u24 u32 u64 text zero sum gas");
        }
        CheckPlace(field, name);
        _fields.Add(field);
        _flags.Clear();
        _open = (field, chosen, name);
    }

    private static TableField Filled(TableField field, byte[] bytes) => field with { Bytes = new(bytes), Width = bytes.Length };

    /// <summary><c>= N</c>, <c>= Block.Constant</c>, <c>= Flag | Flag</c> or <c>param</c>.</summary>
    private TableField Integer(TableLine line, TableField field, int width, List<Token> chosen)
    {
        field = Filled(field, new byte[width]);
        if (line.Is(3, "param")) { line.End(_bag, 4); return field with { Kind = FieldKind.Param }; }
        line.Sign(_bag, 3, "=", "'=' or 'param'");
        ulong max = width == 8 ? ulong.MaxValue : (1ul << (width * 8)) - 1;
        if (line.Tokens.Count > 4 && line.Tokens[4].Kind == TokenKind.Name)
        {
            for (int i = 4; i < line.Tokens.Count; i += 2)
            {
                chosen.Add(line.Expect(_bag, i, TokenKind.Name, "the name of a flag or constant"));
                if (i + 1 < line.Tokens.Count) line.Sign(_bag, i + 1, "|", "'|'");
            }
            if (chosen.Count > 1 || chosen[0].Text.IndexOf('.') < 0) return field;
            Token constant = chosen[0];
            chosen.Clear();
            if (_layouts.Constant(constant.Text) is not { } value)
                _bag.Report(AcpiDiagnostics.BadParam, constant, $"'{constant.Text}' is no constant of devices.def; declare it there in a 'consts' block");
            else if (value <= max) return field with { Bytes = new(Little(value, width)) };
            else _bag.Report(AcpiDiagnostics.NarrowSlot, constant, constant.Text, "more", $"{width * 8} bits", "a wider field");
            return field;
        }
        ulong number = line.Number(_bag, 4, max);
        line.End(_bag, 5);
        return field with { Bytes = new(Little(number, width)) };
    }

    private static byte[] Little(ulong value, int width) => [.. Enumerable.Range(0, width).Select(i => (byte)(value >> (8 * i)))];

    private TableField TextField(TableLine line, TableField field)
    {
        int width = (int)line.Number(_bag, 3, 64);
        line.Sign(_bag, 4, "=", "'='");
        string text = Text(line, 5, width);
        line.End(_bag, 6);
        return Filled(field, Encoding.ASCII.GetBytes(text.PadRight(width, '\0'))) with { Kind = FieldKind.Text };
    }

    /// <summary><c>gas SystemIO 8 param</c>: generic address structure (ACPI 6.5, 5.2.3.2); the access width is the register's.</summary>
    private TableField Address(TableLine line, TableField field)
    {
        Token space = line.Expect(_bag, 3, TokenKind.Name, "an address space");
        if (!Keywords.Space.TryGetValue(space.Text, out int id)) throw line.Fail(_bag, 3, string.Join(" or ", Keywords.Space.Keys));
        ulong bits = line.Number(_bag, 4, 64);
        int access = bits switch { 8 => 1, 16 => 2, 32 => 3, 64 => 4, _ => throw line.Fail(_bag, 4, "8, 16, 32 or 64 bits") };
        line.Word(_bag, 5, "param");
        line.End(_bag, 6);
        return Filled(field, [(byte)id, (byte)bits, 0, (byte)access, .. new byte[8]]) with { Kind = FieldKind.Address };
    }

    /// <summary>Every byte is declared once, in order: a hole would be a field that somebody forgot.</summary>
    private void CheckPlace(TableField field, Token at)
    {
        int expected = _fields.Count == 0 ? 0 : _fields[_fields.Count - 1].Offset + _fields[_fields.Count - 1].Width;
        string before = _fields.Count == 0 ? "the beginning" : $"'{_fields[_fields.Count - 1].Name}'";
        if (field.Offset < expected) _bag.Report(AcpiDiagnostics.Layout, at, $"'{field.Name}' at {field.Offset} overlaps {before}, which ends at {expected}; move it");
        else if (field.Offset > expected) _bag.Report(AcpiDiagnostics.Layout, at, $"'{field.Name}' at {field.Offset} leaves a hole behind {before}, which ends at {expected}; declare the bytes between as 'zero {field.Offset - expected}'");
        if (field.Offset + field.Width > _size) _bag.Report(AcpiDiagnostics.Layout, at, $"'{field.Name}' ends at {field.Offset + field.Width}, outside of '{_head.Text}' with size {_size}; correct one");
    }

    /// <summary><c>BIT Name  # doc</c> below a flags field.</summary>
    private void FlagRow(TableLine line)
    {
        if (_open is not { Field.Kind: FieldKind.Value or FieldKind.Param } open) throw line.Fail(_bag, 0, "a field before its bits");
        int bit = (int)line.Number(_bag, 0, (ulong)Math.Max(0, open.Field.Width * 8 - 1));
        Token name = line.Expect(_bag, 1, TokenKind.Name, "a flag's name");
        line.End(_bag, 2);
        _flags.Add(new TableFlag(bit, name.Text, line.Doc));
    }

    private void CloseFlags()
    {
        if (_open is not { } open) return;
        _open = null;
        ulong value = 0;
        foreach (Token chosen in open.Chosen)
        {
            if (_flags.FirstOrDefault(f => f.Name == chosen.Text) is { } flag) value |= 1ul << flag.Bit;
            else _bag.Report(AcpiDiagnostics.Layout, chosen, $"'{chosen.Text}' is no flag of '{open.Field.Name}'{RegisterFields.Near(chosen.Text, _flags.Select(static f => f.Name))}");
        }
        if (_flags.Count == 0) return;
        EquatableArray<byte> bytes = open.Chosen.Count > 0 ? new(Little(value, open.Field.Width)) : open.Field.Bytes;
        _fields[_fields.Count - 1] = open.Field with { Flags = new([.. _flags]), Bytes = bytes };
        _flags.Clear();
    }

    private void EndLayout()
    {
        CloseFlags();
        if (_name.Length == 0) return;
        int end = _fields.Count == 0 ? 0 : _fields[_fields.Count - 1].Offset + _fields[_fields.Count - 1].Width;
        if (end < _size) _bag.Report(AcpiDiagnostics.Layout, _head, $"'{_name}' has size {_size}, but its fields end at {end}; declare the rest as 'zero {_size - end}'");
        _done.Add(new TableLayout(_kind, _name, _signature, _doc, Math.Max(_size, end), _head.Line, new([.. _fields])));
        _fields.Clear();
        _name = "";
    }
}
