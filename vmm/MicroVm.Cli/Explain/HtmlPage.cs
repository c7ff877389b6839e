using System.Text;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Explain;

/// <summary>A picture as one page of HTML that needs nothing else: the drawing on top, every section as a table below it. All text is escaped, as some of it is the guest's.</summary>
internal static class HtmlPage
{
    private const string Style = """
        :root{color-scheme:light dark;--ink:#1d2530;--soft:#5d6b7a;--line:#d5dce4;--card:#fff;--page:#f3f5f8;--dev:#75828f;
        --ram:#3b6fb6;--open:#2f8f5b;--trap:#b96a10;--irq:#8a4fb5;--dma:#b23a48;--off:#9aa3ad}
        @media(prefers-color-scheme:dark){:root{--ink:#e3e8ee;--soft:#97a4b2;--line:#333d49;--card:#1b222b;--page:#12171d;--dev:#8b99a8;
        --ram:#6fa3e8;--open:#5cc08a;--trap:#e39a45;--irq:#c08ae6;--dma:#e87683;--off:#66717d}}
        *{box-sizing:border-box}body{margin:0 auto;max-width:1500px;padding:28px 36px 60px;background:var(--page);color:var(--ink);font:14px/1.45 system-ui,"DejaVu Sans",sans-serif}
        h1{margin:0 0 4px;font-size:24px;overflow-wrap:anywhere}h1 small{font-weight:400;color:var(--soft);font-size:15px;margin-left:10px}
        h2{margin:26px 0 8px;font-size:15px}h2:first-child{margin-top:6px}
        .chips{display:flex;flex-wrap:wrap;gap:8px;margin:10px 0 18px}.chips span{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:3px 12px}.chips b{font-weight:600}
        .drawing{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 18px 18px}
        .lane{display:grid;grid-template-columns:minmax(0,5fr) 44px minmax(0,4fr) 44px minmax(0,4fr);align-items:center;padding:7px 0;border-top:1px solid var(--line)}
        .lane.names{border:0;padding:0;color:var(--soft);font-size:12px}.names+.lane{border-top:0}
        .column{display:flex;flex-direction:column;gap:6px}
        .column.many.guest{border-right:2px solid var(--dev);border-radius:0 10px 10px 0;padding-right:10px}
        .column.many.host{border-left:2px solid var(--dev);border-radius:10px 0 0 10px;padding-left:10px}
        .wire{height:2px;background:var(--dev)}.wire.none{background:none}
        .card{border:1.5px solid var(--dev);border-radius:7px;padding:5px 10px;overflow-wrap:anywhere}
        .card strong{display:block;font-size:13px;font-weight:600}.card span{display:block;color:var(--soft);font:11.5px/1.5 "DejaVu Sans Mono",ui-monospace,monospace}
        .ram{--c:var(--ram)}.open{--c:var(--open)}.trap{--c:var(--trap)}.irq{--c:var(--irq)}.dma{--c:var(--dma)}.off{--c:var(--off)}
        .card.ram,.card.open,.card.trap,.card.irq,.card.dma{border-color:var(--c);background:color-mix(in srgb,var(--c) 9%,var(--card))}
        .card.off{border:1.5px dashed var(--off)}.wire.ram,.wire.open,.wire.trap,.wire.irq,.wire.dma{background:var(--c)}.wire.off{background:none;height:0;border-top:2px dashed var(--off)}
        .chain{display:flex;flex-wrap:wrap;gap:10px 30px;margin-top:8px}.chain .card{position:relative;min-width:170px;max-width:100%}
        .chain .card:not(:last-child)::after{content:"\2192";position:absolute;right:-23px;top:50%;transform:translateY(-50%);color:var(--soft)}
        .key{display:flex;flex-wrap:wrap;gap:6px 18px;margin:10px 4px 0;color:var(--soft);font-size:12px}.key i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-2px;background:var(--c)}
        details{background:var(--card);border:1px solid var(--line);border-radius:8px;margin-top:12px}summary{cursor:pointer;padding:9px 14px;font-weight:600}summary em{color:var(--soft);font-style:normal;font-weight:400;margin-left:8px}
        .scroll{overflow-x:auto;padding:0 14px 12px}table{border-collapse:collapse;font:12px/1.5 "DejaVu Sans Mono",monospace;white-space:nowrap}th{text-align:left;color:var(--soft);font-weight:500}th,td{padding:2px 18px 2px 0;border-bottom:1px solid var(--line)}
        @media(max-width:760px){body{padding:16px 12px 40px}.drawing{padding:10px 12px 14px}.lane{display:block;padding:12px 0}.lane.names{display:none}
        .wire,.wire.off{width:2px;height:14px;margin-left:22px;border:0}.wire.off{border-left:2px dashed var(--off)}.wire.none{display:none}.column.many.guest,.column.many.host{border:0;padding:0}
        .chain{flex-direction:column;gap:22px}.chain .card:not(:last-child)::after{content:"\2193";right:auto;left:20px;top:auto;bottom:-21px;transform:none}}
        """;

    /// <summary>The page.</summary>
    /// <param name="title">Name of the machine, or of the configuration.</param>
    /// <param name="picture">All of it.</param>
    /// <param name="disassembly">The AML as text, or null.</param>
    internal static string Of(string title, IReadOnlyList<Section> picture, string? disassembly)
    {
        StringBuilder page = new();
        page.Append(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>").Append(Escape(title)).Append(" - microvm explain</title><style>\n").Append(Style).Append("\n</style></head><body>\n");
        page.Append("<h1>").Append(Escape(title)).Append("<small>microvm explain</small></h1>\n");
        if (Find(picture, "machine") is { Rows.Count: > 0 } machine) Chips(page, machine);
        page.Append("<div class=\"drawing\">\n").Append(Find(picture, "walk") is null ? Drawing.OfMachine(picture) : Drawing.OfWalk(picture)).Append("</div>\n");
        page.Append("""
            <div class="key"><span class="ram"><i></i>memory</span><span class="open"><i></i>without an exit: resident registers, mapped BARs, doorbells</span>
            <span class="trap"><i></i>trapped: each access exits</span><span class="irq"><i></i>interrupt, and the processors</span><span class="dma"><i></i>DMA through the IOMMU</span>
            <span class="off"><i></i>not in use</span></div>

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
            if (machine.Columns[i] == "memoryBytes" && ulong.TryParse(value, out ulong bytes))
                value = HumanText.Bytes(bytes);
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
