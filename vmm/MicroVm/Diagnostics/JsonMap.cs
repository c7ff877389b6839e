namespace MicroVm.Diagnostics;

/// <summary>A JSON object: named values in the order in which they were set. What a command answers, <c>explain</c> draws and <c>--json</c> prints is made of these and of <see cref="JsonList"/>.</summary>
/// <remarks>A value is null, a string, a bool, an integer, <see cref="JsonThousandths"/>, a map or a list. The library's own nodes do the same for 0.9 MB of program (docs/decisions/0004).</remarks>
internal sealed class JsonMap
{
    private readonly List<string> _names = [];
    private readonly List<object?> _values = [];

    /// <summary>Members.</summary>
    internal int Count => _names.Count;

    internal IReadOnlyList<string> Names => _names;

    internal IReadOnlyList<object?> Values => _values;

    /// <summary>The value of a name; null if it has none. Setting it again keeps its place.</summary>
    internal object? this[string name]
    {
        get => _names.IndexOf(name) is >= 0 and int at ? _values[at] : null;
        set
        {
            int at = _names.IndexOf(name);
            if (at >= 0)
            {
                _values[at] = value;
                return;
            }
            _names.Add(name);
            _values.Add(value);
        }
    }
}

/// <summary>A JSON array.</summary>
internal sealed class JsonList : List<object?>
{
    public JsonList()
    {
    }

    internal JsonList(IEnumerable<object?> values) : base(values)
    {
    }
}

/// <summary>A number with three digits behind the point, without the library's decimals.</summary>
/// <param name="value">Thousandths.</param>
internal readonly struct JsonThousandths(long value)
{
    public override string ToString() => $"{(value < 0 ? "-" : "")}{Math.Abs(value) / 1000}.{Math.Abs(value) % 1000:D3}";
}
