using System.Buffers.Binary;
using System.Globalization;
using MicroVm.Acpi;

namespace MicroVm.Diagnostics.Explain;

/// <summary>Where in <c>acpi.def/</c> each object of a table of AML comes from. A table is put together of declared units: it is compared with them from its beginning on, byte by byte but for the values
/// that were filled in, so that what is said is of the table that the guest has, and ends where somebody wrote over it.</summary>
internal sealed class AcpiObjects
{
    // More than the largest machine has; a guest can write a table of nothing but the smallest unit.
    private const int MaxRows = 16_384;
    // ACPI 6.5, 5.2.6: a table's length is part of its header.
    private const int LengthAt = 4, HeaderBytes = 36;

    private readonly Unit[] _units = Array.ConvertAll(AcpiCatalog.Units(), static s => new Unit(s));

    internal Section Rows { get; } = new("acpiObjects", "table", "offset", "object", "kind", "declaredAt", "values");

    /// <summary>Where a table's first unit is declared, or null.</summary>
    internal string? FileOf(string signature) => Array.Find(_units, u => u.Begins(signature))?.File;

    /// <summary>Adds the objects of a table, if it begins as a declared one does.</summary>
    /// <returns>How many of its bytes, from the first on, are as declared.</returns>
    internal int Find(string signature, byte[] bytes)
    {
        if (Array.Find(_units, u => u.Begins(signature)) is not { } first) return 0;
        int at = 0;
        while (at < bytes.Length)
        {
            // One that begins as another ends there: the longest is meant.
            Unit? unit = at == 0 ? first.Matches(bytes, 0) ? first : null : Longest(bytes, at, first);
            if (unit is null || Rows.Rows.Count >= MaxRows)
            {
                string why = unit is null ? "not as declared" : "too many to list";
                Rows.Add(signature, at, "?", $"{bytes.Length - at} bytes that are {why}", null, null);
                return at;
            }
            unit.AddTo(Rows, signature, bytes, at);
            at += unit.Length;
        }
        return at;
    }

    /// <summary>Whether a table is one that this program makes: nothing but declared units, values of their fixed width
    /// in their places, and a header that says its length. Adds its objects.</summary>
    /// <param name="signature">Its first four characters.</param>
    /// <param name="bytes">All of it, from anywhere.</param>
    internal bool IsDeclared(string signature, byte[] bytes) => bytes.Length >= HeaderBytes
        && BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(LengthAt)) == bytes.Length
        && Find(signature, bytes) == bytes.Length;

    private Unit? Longest(byte[] bytes, int at, Unit not)
    {
        Unit? longest = null;
        foreach (Unit unit in _units)
        {
            if (unit != not && unit.Length > (longest?.Length ?? 0) && unit.Matches(bytes, at)) longest = unit;
        }
        return longest;
    }

    private sealed class Unit
    {
        private readonly byte[] _template;
        private readonly bool[] _open;
        private readonly List<(int Offset, int Width, string Name, bool Digits)> _values = [];
        private readonly List<(int Offset, string Line, string Kind, string Path)> _objects = [];

        internal Unit(AcpiSource source)
        {
            (File, _template, _open) = (source.File, source.Template, new bool[source.Template.Length]);
            foreach (string line in source.Parts.Split('\n'))
            {
                string[] w = line.Split(' ');
                if (w[0] == "o") _objects.Add((Number(w[1]), w[2], w[3], w[4]));
                else if (w[0] is "s" or "h")
                {
                    _values.Add((Number(w[1]), Number(w[2]), w[3], w[0] == "h"));
                    _open.AsSpan(Number(w[1]), Number(w[2])).Fill(true);
                }
            }
        }

        internal string File { get; }

        internal int Length => _template.Length;

        internal bool Begins(string signature) => Length >= HeaderBytes
            && AcpiPicture.Text(_template.AsSpan(0, 4)) == signature;

        internal bool Matches(byte[] bytes, int at)
        {
            if (Length == 0 || Length > bytes.Length - at) return false;
            for (int i = 0; i < Length; i++)
            {
                if (!_open[i] && _template[i] != bytes[at + i]) return false;
            }
            foreach ((int offset, int width, _, bool digits) in _values)
            {
                // They are a part of a name.
                if (digits && bytes.AsSpan(at + offset, width).ContainsAnyExcept("0123456789ABCDEF"u8)) return false;
            }
            return true;
        }

        internal void AddTo(Section rows, string table, byte[] bytes, int at)
        {
            for (int i = 0; i < _objects.Count; i++)
            {
                (int offset, string line, string kind, string path) = _objects[i];
                // The values up to the next object are this one's.
                int end = Length;
                for (int j = _objects.Count - 1; j > i; j--)
                {
                    if (_objects[j].Offset > offset) end = _objects[j].Offset;
                }
                bool last = i + 1 == _objects.Count || _objects[i + 1].Offset != offset;
                List<string> values = [];
                foreach ((int slot, int width, string name, bool digits) in _values)
                {
                    if (digits) path = path.Replace($"${{{name}}}", AcpiPicture.Text(bytes.AsSpan(at + slot, width)), StringComparison.Ordinal);
                    else if (last && slot >= offset && slot < end && name != "-") values.Add($"{name} {Section.Hex(Value(bytes.AsSpan(at + slot, width)))}");
                }
                rows.Add(table, at + offset, Shown(path), kind, $"{File}:{line}", string.Join(' ', values));
            }
        }

        // Segments have four characters; those that fill them up say nothing.
        private static string Shown(string path) => string.Join('.', path.Split('.').Select(static s => s.TrimEnd('_')));

        private static ulong Value(ReadOnlySpan<byte> bytes)
        {
            ulong value = 0;
            for (int i = bytes.Length - 1; i >= 0; i--) value = value << 8 | bytes[i];
            return value;
        }

        private static int Number(string word) => int.Parse(word, CultureInfo.InvariantCulture);
    }
}
