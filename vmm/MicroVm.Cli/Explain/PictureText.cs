using System.Text;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Explain;

/// <summary>A picture for people: a heading and a table for each section; one without a row says so.</summary>
internal static class PictureText
{
    /// <summary>The section of that name, written as <c>barParts</c>, <c>bar-parts</c> or in other letters.</summary>
    /// <exception cref="MicroVmException">There is none; the message lists them.</exception>
    internal static Section Find(IReadOnlyList<Section> picture, string name)
    {
        string wanted = Dashed(name).ToLowerInvariant();
        return picture.FirstOrDefault(s => Dashed(s.Name) == wanted
            || s.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw MicroVmException.Usage(
                "no such section", name, $"Use one of {string.Join(", ", picture.Select(static s => Dashed(s.Name)))}");
    }

    private static string Dashed(string name) => Words(name).TrimStart().Replace(' ', '-');

    internal static string Of(IReadOnlyList<Section> picture)
    {
        StringBuilder text = new();
        foreach (Section section in picture)
        {
            if (text.Length > 0) text.Append('\n');
            text.Append(Words(section.Name).ToUpperInvariant()).Append('\n');
            if (section.Rows.Count == 0) text.Append("none\n");
            else Table(text, section);
        }
        return text.ToString();
    }

    /// <summary>What was written together as words: <c>barParts</c> is "bar parts".</summary>
    internal static string Words(string name)
    {
        StringBuilder text = new();
        foreach (char c in name)
        {
            if (char.IsAsciiLetterUpper(c)) text.Append(' ');
            text.Append(char.ToLowerInvariant(c));
        }
        return text.ToString();
    }

    /// <summary>A cell as text; nothing is a dash.</summary>
    internal static string Cell(object? value) => value switch
    {
        null or "" => "-",
        bool flag => flag ? "yes" : "no",
        _ => value.ToString()!,
    };

    private static void Table(StringBuilder text, Section section)
    {
        string[][] rows = [[.. section.Columns.Select(Words)], .. section.Rows.Select(static row => Array.ConvertAll(row, Cell))];
        // The tree of functions is drawn by their addresses.
        if (section.Name == "pci") Indent(rows);
        Align(text, rows);
    }

    /// <summary>Adds rows of equally many cells, the cells of a column below one another.</summary>
    internal static void Align(StringBuilder text, IReadOnlyList<string[]> rows)
    {
        foreach (string[] row in rows)
        {
            StringBuilder line = new();
            for (int i = 0; i < row.Length; i++) line.Append(row[i].PadRight(rows.Max(r => r[i].Length) + 2));
            text.Append(line.ToString().TrimEnd()).Append('\n');
        }
    }

    private static void Indent(string[][] rows)
    {
        foreach (string[] row in rows.AsSpan(1))
        {
            if (row[1] != "-") row[0] = "  " + row[0];
        }
    }
}
