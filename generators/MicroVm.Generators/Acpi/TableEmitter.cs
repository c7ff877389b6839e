using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

/// <summary>Writes the C# of a <c>.table</c> file: a class for the table, and one inside it for each entry.</summary>
internal static class TableEmitter
{
    public static string Emit(TableFileModel model)
    {
        CodeWriter code = Emitter.Begin(model.File);
        string file = model.File.Substring(model.File.LastIndexOf('/') + 1);
        for (int i = 0; i < model.Layouts.Count; i++)
        {
            TableLayout layout = model.Layouts[i];
            bool entry = layout.Kind == LayoutKind.Entry && i > 0;
            bool more = i + 1 < model.Layouts.Count && model.Layouts[i + 1].Kind == LayoutKind.Entry;
            Layout(code, layout, file, entry);
            if (!entry)
            {
                Emitter.Source(code, "[]", model.File, model.Layouts.Skip(i).TakeWhile((l, at) => at == 0 || l.Kind == LayoutKind.Entry).SelectMany(Parts));
                if (more) code.Line();
            }
            if (entry || !more) code.Close();
            if (entry && !more) code.Close();
            if (i + 1 < model.Layouts.Count) code.Line();
        }
        return code.ToString();
    }

    /// <summary>Everything but the closing brace, so that entries can follow inside.</summary>
    private static void Layout(CodeWriter code, TableLayout layout, string file, bool nested)
    {
        code.Line($"/// <summary>{CodeWriter.Xml(layout.Doc)}</summary>");
        code.Line($"internal static class {(nested ? layout.Name : layout.Name + "Table")}");
        code.Open();
        code.Line($"/// <summary>Bytes that <see cref=\"Write\"/> writes{(layout.Kind == LayoutKind.Table ? "; entries follow" : "")}.</summary>");
        code.Line($"public const int Size = {layout.Size};");
        code.Line();
        foreach (TableField field in layout.Fields.Where(static f => f.Flags.Count > 0)) Flags(code, field);
        (string, string, string)[] values = [.. layout.Fields.Where(static f => f.Kind is FieldKind.Param or FieldKind.Address).Select(static f => (Type(f), f.Name, f.Doc))];
        if (values.Length > 0) Emitter.Params(code, values);
        code.Line("private static ReadOnlySpan<byte> Template =>");
        code.Line("[");
        foreach (TableField field in layout.Fields)
        {
            code.Line($"    // ({field.Line + 1}) {field.Offset} {field.Name}: {field.Doc}");
            code.Bytes(field.Bytes, 0, field.Bytes.Count);
        }
        code.Line("];");
        code.Line();
        code.Line($"/// <summary>Writes it{(layout.Kind == LayoutKind.Table ? ", with length and checksum; after appending entries call <see cref=\"AcpiBytes.Finish\"/> on the whole" : "")}.</summary>");
        code.Line("/// <returns>The number of bytes, <see cref=\"Size\"/>.</returns>");
        code.Line(values.Length > 0 ? "public static int Write(Span<byte> destination, in Params p)" : "public static int Write(Span<byte> destination)");
        code.Open();
        code.Line("Template.CopyTo(destination);");
        foreach (TableField field in layout.Fields.Where(static f => f.Kind is FieldKind.Param or FieldKind.Address)) code.Line($"{Fill(field)} // {file}({field.Line + 1})");
        foreach (TableField field in layout.Fields.Where(static f => f.Kind == FieldKind.Sum).OrderBy(static f => f.SumLength))
            code.Line($"AcpiBytes.Checksum(destination.Slice({field.SumStart}, {field.SumLength}), {field.Offset - field.SumStart}); // {file}({field.Line + 1})");
        if (layout.Kind == LayoutKind.Table) code.Line("AcpiBytes.Finish(destination[..Size]);");
        code.Line("return Size;");
        code.Close();
        if (!nested) code.Line();
    }

    private static IEnumerable<string> Parts(TableLayout layout, int index)
    {
        TableField? first = layout.Fields.FirstOrDefault();
        bool typed = first is { Name: "Type", Width: 1, Kind: FieldKind.Value };
        yield return index > 0
            ? $"e {layout.Name} {(typed ? first!.Bytes[0].ToString(System.Globalization.CultureInfo.InvariantCulture) : "-")} {layout.Size} {layout.Line + 1}"
            : $"t {layout.Name} {layout.Signature} {layout.Size} {layout.Line + 1}";
        foreach (TableField field in layout.Fields)
        {
            yield return $"f {field.Offset} {field.Width} {field.Name} {field.Line + 1}{(field.Kind == FieldKind.Text ? " text" : "")}";
            foreach (TableFlag flag in field.Flags) yield return $"b {flag.Bit} {flag.Name}";
        }
    }

    private static string Type(TableField field) => field switch
    {
        { Kind: FieldKind.Address } => "ulong",
        { Flags.Count: > 0 } => field.Name + "Bits",
        _ => Unsigned(field.Width),
    };

    private static string Unsigned(int width) => width switch { 1 => "byte", 2 => "ushort", 8 => "ulong", _ => "uint" };

    private static void Flags(CodeWriter code, TableField field)
    {
        code.Line($"/// <summary>{CodeWriter.Xml(field.Doc)}</summary>");
        code.Line("[Flags]");
        code.Line($"public enum {field.Name}Bits : {Unsigned(field.Width)}");
        code.Open();
        code.Line("None = 0,");
        foreach (TableFlag flag in field.Flags)
        {
            if (flag.Doc.Length > 0) code.Line($"/// <summary>{CodeWriter.Xml(flag.Doc)}</summary>");
            code.Line($"{flag.Name} = {(field.Width == 8 ? "1UL" : field.Width == 4 ? "1U" : "1")} << {flag.Bit},");
        }
        code.Close();
        code.Line();
    }

    private static string Fill(TableField field)
    {
        string value = field.Flags.Count > 0 ? $"({Unsigned(field.Width)})p.{field.Name}" : $"p.{field.Name}";
        return field switch
        {
            { Kind: FieldKind.Address } => $"BinaryPrimitives.WriteUInt64LittleEndian(destination[{field.Offset + 4}..], {value});",
            { Width: 1 } => $"destination[{field.Offset}] = {value};",
            { Width: 2 } => $"BinaryPrimitives.WriteUInt16LittleEndian(destination[{field.Offset}..], {value});",
            { Width: 4 } => $"BinaryPrimitives.WriteUInt32LittleEndian(destination[{field.Offset}..], {value});",
            _ => $"BinaryPrimitives.WriteUInt64LittleEndian(destination[{field.Offset}..], {value});",
        };
    }
}
