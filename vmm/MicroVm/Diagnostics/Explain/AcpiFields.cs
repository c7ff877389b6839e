using System.Globalization;
using MicroVm.Acpi;

namespace MicroVm.Diagnostics.Explain;

/// <summary>Tables of fixed layout, field by field with the names and lines that <c>acpi.def/*.table</c> gives them.</summary>
internal sealed class AcpiFields
{
    private const int MaxRows = 4096, AddressBytes = 12;

    private readonly List<Layout> _layouts = [];

    internal AcpiFields()
    {
        foreach (AcpiSource source in AcpiCatalog.Tables()) Read(source);
    }

    internal Section Rows { get; } = new("acpiFields", "table", "entry", "offset", "field", "value", "declaredAt");

    /// <summary>Where a table is declared, or null.</summary>
    internal string? FileOf(string signature) => _layouts.Find(l => l.Signature == signature)?.File;

    /// <summary>Adds the fields of a table and of the entries behind it; the rest of what cannot be told apart is one row.</summary>
    internal void Decode(string signature, byte[] bytes)
    {
        if (_layouts.Find(l => l.Signature == signature) is not { } table) return;
        Add(signature, "", table, bytes, 0);
        for (int at = table.Size, number = 0; at < bytes.Length && Rows.Rows.Count < MaxRows; number++)
        {
            Layout? entry = table.Entries.Find(e => (e.Type is null || e.Type == bytes[at]) && e.Size <= bytes.Length - at);
            if (entry is null)
            {
                Rows.Add(signature, null, at, "?", $"{bytes.Length - at} bytes that no declaration knows", null);
                return;
            }
            Add(signature, $"{entry.Name}[{number}]", entry, bytes, at);
            at += entry.Size;
        }
    }

    private void Add(string signature, string entry, Layout layout, byte[] bytes, int at)
    {
        foreach (Field f in layout.Fields)
        {
            // The header's parts are in the list of tables; reserved bytes say nothing.
            if (f.Name is "Header" or "Reserved" || at + f.Offset + f.Width > bytes.Length) continue;
            Rows.Add(signature, entry, at + f.Offset, f.Name, Value(f, bytes.AsSpan(at + f.Offset, f.Width)), $"{layout.File}:{f.Line}");
        }
    }

    private static string Value(Field field, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length is 1 or 2 or 3 or 4 or 8 && !field.IsText)
        {
            ulong value = 0;
            for (int i = bytes.Length - 1; i >= 0; i--) value = value << 8 | bytes[i];
            string names = string.Join(' ', field.Bits.Where(b => (value >> b.Bit & 1) != 0).Select(static b => b.Name));
            return names.Length > 0 ? $"{Section.Hex(value)} {names}" : Section.Hex(value);
        }
        if (!bytes.ContainsAnyExcept((byte)0)) return "0";
        // Generic address structure (ACPI 6.5, 5.2.3.2): space, bits, offset, access, address.
        if (bytes.Length == AddressBytes) return $"{(bytes[0] == 1 ? "port" : $"space {bytes[0]}")} {Section.Hex(System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(bytes[4..]))}, {bytes[1]} bits";
        return $"\"{AcpiPicture.Text(bytes.TrimEnd((byte)0))}\"";
    }

    private void Read(AcpiSource source)
    {
        Layout? table = null, layout = null;
        foreach (string line in source.Parts.Split('\n'))
        {
            string[] w = line.Split(' ');
            // The root pointer's signature has no header to stand in.
            if (w[0] == "t") _layouts.Add(table = layout = new Layout(w[1], w[2] == "-" ? "RSD PTR" : w[2], source.File, Number(w[3]), null));
            else if (w[0] == "e") table!.Entries.Add(layout = new Layout(w[1], "", source.File, Number(w[3]), w[2] == "-" ? null : Number(w[2])));
            else if (w[0] == "f") layout!.Fields.Add(new Field(Number(w[1]), Number(w[2]), w[3], Number(w[4]), w.Length > 5, []));
            else if (w[0] == "b") layout!.Fields[^1].Bits.Add((Number(w[1]), w[2]));
        }
    }

    private static int Number(string word) => int.Parse(word, CultureInfo.InvariantCulture);

    private sealed record Field(int Offset, int Width, string Name, int Line, bool IsText, List<(int Bit, string Name)> Bits);

    private sealed record Layout(string Name, string Signature, string File, int Size, int? Type)
    {
        internal List<Field> Fields { get; } = [];
        internal List<Layout> Entries { get; } = [];
    }
}
