using System.Globalization;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Explain;

/// <summary>The whole machine in one drawing, from left to right: what the guest finds at its addresses, the devices behind them, the way of each interrupt, the processors; below it the ACPI tables and the IOMMU.</summary>
internal sealed class Drawing
{
    private const int Places = 16, Devices = 420, Entries = 800, Routes = 1030, Cpus = 1310, Gap = 10, Top = 40;

    private readonly IReadOnlyList<Section> _picture;
    private readonly Svg _svg = new();
    private readonly Dictionary<string, Box> _devices = [];

    private Drawing(IReadOnlyList<Section> picture) => _picture = picture;

    /// <summary>Of a machine.</summary>
    internal static string OfMachine(IReadOnlyList<Section> picture)
    {
        Drawing drawing = new(picture);
        int y = drawing.DrawDevices();
        y = Math.Max(y, drawing.DrawPlaces());
        y = Math.Max(y, drawing.DrawInterrupts());
        y = drawing.DrawTables(y + 30);
        drawing.DrawDma(y + 30);
        return drawing._svg.ToString();
    }

    /// <summary>Of the way of an address: a box for each entry of the page tables, then one for each space.</summary>
    internal static string OfWalk(IReadOnlyList<Section> picture)
    {
        Svg svg = new();
        Section walk = HtmlPage.Find(picture, "walk")!, cpu = HtmlPage.Find(picture, "cpu")!;
        string C(Section s, object?[] row, string column) => HtmlPage.Cell(s, row, column);
        Box before = svg.Add(16, 20, 230, "irq", $"vCPU {C(cpu, cpu.Rows[0], "cpu")}: {C(cpu, cpu.Rows[0], "mode")}", $"cr3 {C(cpu, cpu.Rows[0], "cr3")}");
        int x = 290;
        foreach (object?[] row in walk.Rows)
        {
            Box box = svg.Add(x, 20, 230, C(walk, row, "flags").StartsWith("Present", StringComparison.Ordinal) ? "open" : "off", $"level {C(walk, row, "level")}, entry {C(walk, row, "index")}",
                [$"at {C(walk, row, "table")}", C(walk, row, "entry"), .. Threes(C(walk, row, "flags").Split(", "))]);
            svg.Join(before, box, "open");
            (before, x) = (box, x + 270);
        }
        x = 16;
        Box? last = null;
        if (HtmlPage.Find(picture, "translation") is not { } result) return svg.ToString();
        foreach (object?[] row in result.Rows)
        {
            Box box = svg.Add(x, 160, 270, "ram", C(result, row, "space"), C(result, row, "address"), C(result, row, "note"));
            if (last is { } l) svg.Join(l, box, "open");
            (last, x) = (box, x + 310);
        }
        return svg.ToString();
    }

    // The tree of PCI functions, then devices on virtio-mmio, then the platform's own.
    private int DrawDevices()
    {
        int y = Top;
        _svg.Text(Devices, 24, "h", "devices");
        if (Find("pci") is { } pci)
        {
            foreach (object?[] row in pci.Rows)
            {
                string address = Cell(pci, row, "address"), behind = Cell(pci, row, "behind");
                List<string> lines = [$"{address}  {Cell(pci, row, "id")}", .. Virtio(address), .. Bars(address)];
                int indent = behind.Length > 0 ? 26 : 0;
                Box box = Add(address, Devices + indent, ref y, 300 - indent, "dev", Named(address, Cell(pci, row, "device")), lines);
                if (_devices.TryGetValue(behind, out Box above)) _svg.Branch(above, box, "dev");
            }
        }
        if (Find("virtio") is { } virtio)
        {
            foreach (object?[] row in virtio.Rows)
            {
                string place = Cell(virtio, row, "place");
                if (!_devices.ContainsKey(place)) _ = Add(place, Devices, ref y, 300, "dev", Named(place, Cell(virtio, row, "device")), [place, .. Virtio(place)]);
            }
        }
        foreach ((string block, string key) in new[] { ("Uart16550", "uart16550"), ("AcpiGed", "acpi-ged"), ("IoApic", "ioapic") })
        {
            if (Blocks().Any(b => b.Block == block)) _ = Add(key, Devices, ref y, 300, "dev", key, []);
        }
        return y;
    }

    // What the guest finds where, highest on top: RAM, configuration space, a box for each BAR, and registers.
    private int DrawPlaces()
    {
        _svg.Text(Places, 24, "h", "guest physical addresses");
        List<(ulong At, string Style, string Name, string[] Lines, string Device)> places = [];
        if (Find("memory") is { } memory)
        {
            foreach (object?[] row in memory.Rows)
            {
                string what = Cell(memory, row, "what");
                // BARs and transports come with what else is in them.
                if (what.StartsWith("BAR ", StringComparison.Ordinal) || what.StartsWith("virtio-mmio", StringComparison.Ordinal)) continue;
                places.Add((Number(Cell(memory, row, "guest")), what == "RAM" ? "ram" : "open", what,
                    [$"{Cell(memory, row, "guest")}  {Size(Cell(memory, row, "bytes"))}  {Cell(memory, row, "access")}", $"in the monitor at {Cell(memory, row, "host")}"], ""));
            }
        }
        if (Find("bars") is { } bars)
        {
            foreach (object?[] row in bars.Rows)
            {
                string address = Cell(bars, row, "address"), bar = Cell(bars, row, "bar"), at = Cell(bars, row, "guest");
                places.Add((Number(at), at.Length > 0 ? "open" : "off", $"BAR {bar} of {address}", [$"{(at.Length > 0 ? at : "not decoded")}  {Size(Cell(bars, row, "bytes"))}", .. Parts(address, bar)], address));
            }
        }
        int transport = 0;
        foreach ((string from, string block, bool port) in Blocks())
        {
            // Functions are in the tree.
            if (block is "PciFunction" || (!port && InBar(from))) continue;
            string device = block switch { "VirtioMmio" => $"virtio-mmio[{transport++}]", "Uart16550" => "uart16550", "AcpiGed" => "acpi-ged", "IoApic" => "ioapic", _ => "" };
            bool resident = block == "VirtioMmio";
            places.Add((Number(from), resident ? "open" : "trap", block, [$"{from}  {(resident ? "reads and doorbells without exit" : port ? "port" : "trapped")}"], device));
        }
        int y = Top;
        foreach ((_, string style, string name, string[] lines, string device) in places.OrderBy(static p => ulong.MaxValue - p.At))
        {
            Box box = _svg.Add(Places, y, 320, style, name, lines);
            y = box.Bottom + Gap;
            if (_devices.TryGetValue(device, out Box to)) _svg.Join(box, to, style);
        }
        return y;
    }

    private static IEnumerable<string> Threes(string[] words)
    {
        for (int i = 0; i < words.Length; i += 3) yield return string.Join(' ', words[i..Math.Min(i + 3, words.Length)]);
    }

    // A line for each way in which a BAR's parts are reached.
    private IEnumerable<string> Parts(string address, string bar)
    {
        if (Find("barParts") is not { } parts) yield break;
        object?[][] own = [.. parts.Rows.Where(r => Cell(parts, r, "address") == address && Cell(parts, r, "bar") == bar)];
        foreach (string way in own.Select(r => Cell(parts, r, "how")).Distinct())
        {
            string[] what = [.. own.Where(r => Cell(parts, r, "how") == way).Select(r => Cell(parts, r, "what"))];
            yield return way == "trapped" ? $"trapped: {string.Join(' ', what)}" : $"{way}: {what.Length}";
        }
    }

    private int DrawInterrupts()
    {
        _svg.Text(Entries, 24, "h", "event and entry");
        _svg.Text(Routes, 24, "h", "route");
        _svg.Text(Cpus, 24, "h", "processors");
        Dictionary<string, Box> cpus = [];
        int y = Top;
        if (Find("cpus") is { } list)
        {
            foreach (object?[] row in list.Rows)
            {
                Box box = _svg.Add(Cpus, y, 190, "irq", $"vCPU {Cell(list, row, "cpu")}", $"APIC {Cell(list, row, "apic")}", $"{Cell(list, row, "exits")} exits");
                cpus[Cell(list, row, "apic")] = box;
                y = box.Bottom + Gap;
            }
        }
        if (Find("interrupts") is not { } all) return y;
        int at = Top;
        foreach (object?[] row in all.Rows)
        {
            string source = Cell(all, row, "source"), state = Cell(all, row, "state"), style = state == "open" ? "irq" : "off", count = Cell(all, row, "count");
            Box entry = _svg.Add(Entries, at, 200, style, Cell(all, row, "entry"), Cell(all, row, "event"), Cell(all, row, "irqfd"));
            Box route = _svg.Add(Routes, at, 240, style, $"GSI {Cell(all, row, "gsi")}, {(state == "open" ? $"vector {Cell(all, row, "vector")}" : state)}", Cell(all, row, "route"), count.Length > 0 && char.IsAsciiDigit(count[0]) ? $"{count} times" : count);
            if (_devices.TryGetValue(source.Split(' ')[^1], out Box device)) _svg.Join(device, entry, style);
            _svg.Join(entry, route, style);
            if (state == "open")
            {
                // A logical destination is a set: those of its bits that are processors here.
                string apic = Cell(all, row, "apic");
                foreach ((string id, Box cpu) in cpus)
                {
                    bool isOne = apic.StartsWith("logical ", StringComparison.Ordinal) ? int.TryParse(id, out int bit) && bit < 8 && (Number(apic[8..]) >> bit & 1) != 0 : id == apic;
                    if (isOne) _svg.Join(route, cpu, style);
                }
            }
            at = entry.Bottom + Gap;
        }
        return Math.Max(y, at);
    }

    // From the root pointer to the right: each table beside the one that points to it.
    private int DrawTables(int y)
    {
        if (Find("acpi") is not { Rows.Count: > 0 } acpi) return y;
        _svg.Text(Places, y, "h", "ACPI tables in guest memory");
        Dictionary<string, Box> boxes = [];
        int next = y + 14, bottom = y;
        foreach (object?[] row in acpi.Rows)
        {
            string table = Cell(acpi, row, "table");
            (int column, string above) = table switch { "RSD PTR" => (0, ""), "XSDT" => (1, "RSD PTR"), "DSDT" => (3, "FACP"), _ => (2, "XSDT") };
            int at = column == 2 ? next : column == 3 && boxes.TryGetValue(above, out Box fadt) ? fadt.Y : y + 14;
            Box box = _svg.Add(Places + column * 270, at, 220, Cell(acpi, row, "checksum") == "good" ? "ram" : "trap", table, $"{Cell(acpi, row, "guest")}  {Cell(acpi, row, "bytes")} bytes", Cell(acpi, row, "declaredIn"));
            if (boxes.TryGetValue(above, out Box from)) _svg.Join(from, box, "ram");
            boxes.TryAdd(table, box);
            if (column == 2) next = box.Bottom + Gap;
            bottom = Math.Max(bottom, box.Bottom);
        }
        return bottom;
    }

    private void DrawDma(int y)
    {
        if (Find("dma") is not { Rows.Count: > 0 } dma) return;
        _svg.Text(Places, y, "h", "what assigned devices reach through the IOMMU");
        Box devices = _svg.Add(Places, y + 14, 320, "dev", "assigned devices", Cell(dma, dma.Rows[0], "devices"));
        int at = y + 14;
        foreach (object?[] row in dma.Rows)
        {
            Box range = _svg.Add(Devices, at, 300, "dma", $"IOVA {Cell(dma, row, "iova")}", $"{Size(Cell(dma, row, "bytes"))}  {Cell(dma, row, "access")}");
            Box host = _svg.Add(Entries, at, 300, "ram", $"guest {Cell(dma, row, "guest")}", $"host {Cell(dma, row, "host")}");
            _svg.Join(devices, range, "dma");
            _svg.Join(range, host, "dma");
            at = range.Bottom + Gap;
        }
    }

    private Box Add(string key, int x, ref int y, int width, string style, string heading, List<string> lines)
    {
        Box box = _svg.Add(x, y, width, style, heading, [.. lines]);
        _devices[key] = box;
        y = box.Bottom + Gap;
        return box;
    }

    private IEnumerable<string> Virtio(string place)
    {
        if (Find("virtio") is not { } virtio || Find("queues") is not { } queues) yield break;
        foreach (object?[] row in virtio.Rows)
        {
            if (Cell(virtio, row, "place") == place) yield return Cell(virtio, row, "status").Split(", ").Contains("DriverOk") ? "driver ready" : $"status {Cell(virtio, row, "status")}";
        }
        foreach (object?[] row in queues.Rows)
        {
            if (Cell(queues, row, "place") == place) yield return $"queue {Cell(queues, row, "queue")}: used {Cell(queues, row, "usedIndex")}/{Cell(queues, row, "availableIndex")}, {Cell(queues, row, "inFlight")} in flight";
        }
    }

    private IEnumerable<string> Bars(string address)
    {
        if (Find("bars") is not { } bars) yield break;
        foreach (object?[] row in bars.Rows)
        {
            if (Cell(bars, row, "address") == address) yield return $"BAR {Cell(bars, row, "bar")} {Size(Cell(bars, row, "bytes"))} at {(Cell(bars, row, "guest") is { Length: > 0 } at ? at : "nowhere")}";
        }
    }

    private string Named(string place, string kind)
    {
        if (Find("virtio") is not { } virtio) return kind;
        object?[]? row = virtio.Rows.FirstOrDefault(r => Cell(virtio, r, "place") == place);
        return row is not null && Cell(virtio, row, "id") is { Length: > 0 } id ? $"{kind} \"{id}\"" : kind;
    }

    private IEnumerable<(string From, string Block, bool Port)> Blocks()
    {
        foreach ((string name, bool port) in new[] { ("registers", false), ("ports", true) })
        {
            if (Find(name) is not { } section) continue;
            foreach (object?[] row in section.Rows) yield return (Cell(section, row, "from"), Cell(section, row, "block"), port);
        }
    }

    private bool InBar(string from) => Find("bars") is { } bars && bars.Rows.Any(row =>
        Cell(bars, row, "guest") is { Length: > 0 } start && ulong.TryParse(Cell(bars, row, "bytes"), out ulong bytes) && Number(from) - Number(start) < bytes);

    private static ulong Number(string text) => text.Length > 2 && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) ? value : 0;

    private static string Size(string bytes) => !ulong.TryParse(bytes, out ulong n) ? bytes : n >= 1 << 20 ? $"{n >> 20} MiB" : n >= 1024 ? $"{n >> 10} KiB" : $"{n} bytes";

    private Section? Find(string name) => HtmlPage.Find(_picture, name);

    private static string Cell(Section section, object?[] row, string column) => HtmlPage.Cell(section, row, column);
}
