using System.Globalization;
using System.Text;

namespace MicroVm.Generators.Common;

/// <summary>Indented text with LF line ends; nothing in it depends on culture, machine or time.</summary>
internal sealed class CodeWriter
{
    private readonly StringBuilder _text = new();
    private int _depth;

    public void Line(string text = "")
    {
        if (text.Length > 0) _text.Append(' ', 4 * _depth).Append(text);
        _text.Append('\n');
    }

    /// <summary>A line in column 0, for directives.</summary>
    public void Directive(string text) => _text.Append(text).Append('\n');

    public void Open(string? header = null)
    {
        if (header is not null) Line(header);
        Line("{");
        _depth++;
    }

    public void Close(string tail = "")
    {
        _depth--;
        Line("}" + tail);
    }

    public void Indent() => _depth++;

    public void Outdent() => _depth--;

    /// <summary>An XML documentation element on one line; nothing where there is nothing to say.</summary>
    public void Summary(string text)
    {
        if (text.Length > 0) Line("/// <summary>" + Xml(text) + (text[text.Length - 1] is '.' or '!' or '?' ? "" : ".") + "</summary>");
    }

    /// <summary>Bytes of a collection expression, 16 to a line.</summary>
    public void Bytes(EquatableArray<byte> bytes, int from, int to)
    {
        for (int i = from; i < to; i += 16)
        {
            int end = Math.Min(i + 16, to);
            var line = new StringBuilder("    ");
            for (int j = i; j < end; j++) line.Append("0x").Append(bytes[j].ToString("X2", CultureInfo.InvariantCulture)).Append(j + 1 < end ? ", " : ",");
            Line(line.ToString());
        }
    }

    public static string Xml(string text) => text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;");

    public override string ToString() => _text.ToString();

    public static string Hex(ulong value) => "0x" + value.ToString("x", CultureInfo.InvariantCulture);

    /// <summary>A literal of the register's type.</summary>
    public static string Literal(ulong value, int width) => Hex(value) + (width switch { 8 => "ul", 4 => "u", _ => "" });

    public static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>A C# string literal.</summary>
    public static string Quote(string? text)
    {
        if (text is null) return "null";
        var result = new StringBuilder("\"");
        foreach (char c in text)
        {
            if (c is '"' or '\\') result.Append('\\').Append(c);
            else if (c < ' ' || c is '\u0085' or '\u2028' or '\u2029' || char.IsSurrogate(c)) result.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
            else result.Append(c);
        }
        return result.Append('"').ToString();
    }
}
