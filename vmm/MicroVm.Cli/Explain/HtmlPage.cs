using System.Text;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Explain;

/// <summary>A picture as one page of HTML that needs nothing else: the drawing on top, every section as a table below it. All text is escaped, as some of it is the guest's.</summary>
internal static class HtmlPage
{
    private const string Style = """
        :root{--ink:#1d2530;--soft:#5d6b7a;--line:#d5dce4;--card:#fff;--page:#f3f5f8;--ram:#3b6fb6;--open:#2f8f5b;--trap:#c9791e;--irq:#8a4fb5;--dma:#b23a48}
        *{box-sizing:border-box}body{margin:0;padding:28px 36px 60px;background:var(--page);color:var(--ink);font:14px/1.45 system-ui,"DejaVu Sans",sans-serif}
        h1{margin:0 0 4px;font-size:24px}h1 small{font-weight:400;color:var(--soft);font-size:15px;margin-left:10px}
        .chips{display:flex;flex-wrap:wrap;gap:8px;margin:10px 0 18px}.chips span{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:3px 12px}.chips b{font-weight:600}
        .drawing{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px;overflow-x:auto}
        svg text{font:12px "DejaVu Sans",system-ui,sans-serif;fill:var(--ink)}svg .h{font-weight:700;font-size:13px}svg .s{fill:var(--soft);font-size:11px}svg .m{font-family:"DejaVu Sans Mono",monospace;font-size:11px}
        svg rect{fill:#fff;stroke:var(--line)}svg rect.ram{fill:#e6eef9;stroke:var(--ram)}svg rect.open{fill:#e4f4ea;stroke:var(--open)}svg rect.trap{fill:#fbefdf;stroke:var(--trap)}
        svg rect.irq{fill:#f2e9f8;stroke:var(--irq)}svg rect.off{fill:#f0f0f0;stroke:#aaa;stroke-dasharray:4 3}svg rect.dma{fill:#f9e7e9;stroke:var(--dma)}svg rect.dev{stroke:#8b98a6}
        svg path{fill:none;stroke:#9aa7b5;stroke-width:1.4}svg path.ram{stroke:var(--ram)}svg path.open{stroke:var(--open)}svg path.trap{stroke:var(--trap)}svg path.irq{stroke:var(--irq)}svg path.dma{stroke:var(--dma)}svg path.off{stroke:#bbb;stroke-dasharray:4 3}
        .key{display:flex;flex-wrap:wrap;gap:18px;margin:10px 4px 0;color:var(--soft);font-size:12px}.key i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-2px}
        details{background:var(--card);border:1px solid var(--line);border-radius:8px;margin-top:12px}summary{cursor:pointer;padding:9px 14px;font-weight:600}summary em{color:var(--soft);font-style:normal;font-weight:400;margin-left:8px}
        .scroll{overflow-x:auto;padding:0 14px 12px}table{border-collapse:collapse;font:12px/1.5 "DejaVu Sans Mono",monospace;white-space:nowrap}th{text-align:left;color:var(--soft);font-weight:500}th,td{padding:2px 18px 2px 0;border-bottom:1px solid #eef1f4}
        """;

    /// <summary>The page.</summary>
    /// <param name="title">Name of the machine, or of the configuration.</param>
    /// <param name="picture">All of it.</param>
    /// <param name="disassembly">The AML as text, or null.</param>
    internal static string Of(string title, IReadOnlyList<Section> picture, string? disassembly)
    {
        StringBuilder page = new();
        page.Append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>").Append(Escape(title)).Append(" - microvm explain</title><style>\n").Append(Style).Append("\n</style></head><body>\n");
        page.Append("<h1>").Append(Escape(title)).Append("<small>microvm explain</small></h1>\n");
        if (Find(picture, "machine") is { Rows.Count: > 0 } machine) Chips(page, machine);
        page.Append("<div class=\"drawing\">\n").Append(Find(picture, "walk") is null ? Drawing.OfMachine(picture) : Drawing.OfWalk(picture)).Append("</div>\n");
        page.Append("""
            <div class="key"><span><i style="background:#3b6fb6"></i>RAM</span><span><i style="background:#2f8f5b"></i>without an exit: resident registers, mapped BARs, doorbells</span>
            <span><i style="background:#c9791e"></i>trapped: each access exits</span><span><i style="background:#8a4fb5"></i>interrupt: eventfd, irqfd, GSI, vector</span><span><i style="background:#b23a48"></i>DMA through the IOMMU</span></div>

            """);
        foreach (Section section in picture) Table(page, section);
        if (disassembly is not null) page.Append("<details><summary>aml<em>disassembled, with the line of each object in acpi.def/</em></summary><div class=\"scroll\"><pre>").Append(Escape(disassembly)).Append("</pre></div></details>\n");
        return page.Append("</body></html>\n").ToString();
    }

    /// <summary>A section by name, or null.</summary>
    internal static Section? Find(IReadOnlyList<Section> picture, string name) => picture.FirstOrDefault(s => s.Name == name);

    /// <summary>A cell of a row as text; empty where there is no such column.</summary>
    internal static string Cell(Section section, object?[] row, string column)
    {
        for (int i = 0; i < section.Columns.Count; i++)
        {
            if (section.Columns[i] == column) return row[i]?.ToString() ?? "";
        }
        return "";
    }

    internal static string Escape(string text)
    {
        StringBuilder safe = new(text.Length);
        foreach (char c in Output.Plain(text))
        {
            _ = c switch
            {
                '<' => safe.Append("&lt;"),
                '>' => safe.Append("&gt;"),
                '&' => safe.Append("&amp;"),
                '"' => safe.Append("&quot;"),
                _ => safe.Append(c),
            };
        }
        return safe.ToString();
    }

    private static void Chips(StringBuilder page, Section machine)
    {
        page.Append("<div class=\"chips\">");
        for (int i = 0; i < machine.Columns.Count; i++)
        {
            string value = PictureText.Cell(machine.Rows[0][i]);
            if (machine.Columns[i] == "memoryBytes" && ulong.TryParse(value, out ulong bytes)) value = $"{bytes >> 20} MiB";
            page.Append("<span>").Append(Escape(PictureText.Words(machine.Columns[i]).Replace(" bytes", "", StringComparison.Ordinal))).Append(" <b>").Append(Escape(value)).Append("</b></span>");
        }
        page.Append("</div>\n");
    }

    private static void Table(StringBuilder page, Section section)
    {
        page.Append("<details><summary>").Append(Escape(PictureText.Words(section.Name))).Append("<em>").Append(section.Rows.Count).Append("</em></summary><div class=\"scroll\"><table><tr>");
        foreach (string column in section.Columns) page.Append("<th>").Append(Escape(PictureText.Words(column))).Append("</th>");
        page.Append("</tr>\n");
        foreach (object?[] row in section.Rows)
        {
            page.Append("<tr>");
            foreach (object? cell in row) page.Append("<td>").Append(Escape(PictureText.Cell(cell))).Append("</td>");
            page.Append("</tr>\n");
        }
        page.Append("</table></div></details>\n");
    }
}
