namespace MicroVm.Diagnostics.Explain;

/// <summary>One subject of a picture as a table. Cells are null, text, a bool or an integer; addresses are text, as JSON numbers lose bits above 53.</summary>
/// <param name="name">What it is about: <c>bars</c>.</param>
/// <param name="columns">Names of the columns; of words that were written together each after the first begins with a capital.</param>
internal sealed class Section(string name, params string[] columns)
{
    private readonly List<object?[]> _rows = [];

    internal string Name { get; } = name;

    internal IReadOnlyList<string> Columns { get; } = columns;

    internal IReadOnlyList<object?[]> Rows => _rows;

    /// <summary>Adds a row with a cell for each column.</summary>
    internal void Add(params object?[] cells)
    {
        if (cells.Length != Columns.Count) throw new ArgumentException($"{cells.Length} cells for {Columns.Count} columns of {Name}", nameof(cells));
        _rows.Add(cells);
    }

    /// <summary>An address or a set of bits.</summary>
    internal static string Hex(ulong value) => $"0x{value:x}";
}
