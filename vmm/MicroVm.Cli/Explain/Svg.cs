using System.Text;

namespace MicroVm.Cli.Explain;

/// <summary>A drawing made of boxes with text in them and of curves between their sides. Units are pixels.</summary>
internal sealed class Svg
{
    private readonly StringBuilder _boxes = new(), _lines = new();
    private int _width, _height;

    /// <summary>A box with lines of text; the first is its heading.</summary>
    internal Box Add(int x, int y, int width, string style, string heading, params string[] lines)
    {
        int height = 26 + lines.Length * 16;
        _boxes.Append($"<rect class=\"{style}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>");
        Text(x + 10, y + 18, "h", Fit(heading, (width - 20) / 8));
        for (int i = 0; i < lines.Length; i++) Text(x + 10, y + 35 + i * 16, "m", Fit(lines[i], (width - 20) * 10 / 68));
        Box box = new(x, y, width, height);
        (_width, _height) = (Math.Max(_width, box.Right), Math.Max(_height, box.Bottom));
        return box;
    }

    /// <summary>Text without a box.</summary>
    internal void Text(int x, int y, string style, string text)
    {
        _boxes.Append($"<text class=\"{style}\" x=\"{x}\" y=\"{y}\">").Append(HtmlPage.Escape(text)).Append("</text>\n");
        _height = Math.Max(_height, y);
    }

    /// <summary>A curve from the right side of a box to the left side of another.</summary>
    internal void Join(Box from, Box to, string style)
    {
        int middle = (from.Right + to.X) / 2;
        _lines.Append($"<path class=\"{style}\" d=\"M{from.Right} {from.Middle}C{middle} {from.Middle} {middle} {to.Middle} {to.X} {to.Middle}\"/>\n");
    }

    /// <summary>A line down from a box, then right to another that stands lower: a branch of a tree.</summary>
    internal void Branch(Box from, Box to, string style) => _lines.Append($"<path class=\"{style}\" d=\"M{from.X + 12} {from.Bottom}V{to.Middle}H{to.X}\"/>\n");

    public override string ToString() =>
        $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{_width + 20}\" height=\"{_height + 20}\" viewBox=\"0 0 {_width + 20} {_height + 20}\">\n{_lines}{_boxes}</svg>\n";

    private static string Fit(string text, int characters) => text.Length <= characters ? text : text[..Math.Max(1, characters - 1)] + "…";
}

/// <summary>Where a box stands.</summary>
internal readonly record struct Box(int X, int Y, int Width, int Height)
{
    internal int Right => X + Width;
    internal int Bottom => Y + Height;
    internal int Middle => Y + Height / 2;
}
