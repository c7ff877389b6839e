using System.Globalization;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Explain;

/// <summary>The whole machine in one drawing, a lane for each thing of it: what the guest finds of it on the left, what
/// it is on the host on the right. What is connected comes first, in the order of guest addresses; then what waits to
/// be.</summary>
internal sealed class Drawing
{
    // Of one kind in a box; the tables below the drawing have all.
    private const int MostCards = 4, MostLines = 4;

    private readonly IReadOnlyList<Section> _picture;
    private readonly Cards _cards = new();

    private Drawing(IReadOnlyList<Section> picture) => _picture = picture;

    /// <summary>Of a machine.</summary>
    internal static string OfMachine(IReadOnlyList<Section> picture)
    {
        Drawing drawing = new(picture);
        drawing._cards.Heading("Memory and processors", columns: true);
        drawing._cards.Lanes([.. drawing.Memory(), drawing.Processors()]);
        List<(Rank Rank, ulong At, Lane Lane)> things = [.. drawing.Devices(), .. drawing.Waiting()];
        foreach ((Rank rank, string heading) in s_headings)
        {
            Lane[] lanes = [.. things.Where(t => t.Rank == rank).OrderBy(static t => t.At).Select(static t => t.Lane)];
            if (lanes.Length > 0) drawing._cards.Heading(heading);
            drawing._cards.Lanes(lanes);
        }
        drawing.Tables();
        return drawing._cards.ToString();
    }

    /// <summary>Of the way of an address: a card for each entry of the page tables, then one for each space.</summary>
    internal static string OfWalk(IReadOnlyList<Section> picture)
    {
        Cards cards = new();
        Section walk = HtmlPage.Find(picture, "walk")!, cpu = HtmlPage.Find(picture, "cpu")!;
        cards.Heading("The way of the address");
        cards.Chain(
        [
            new Card("irq", $"vCPU {Cell(cpu, cpu.Rows[0], "cpu")}: {Cell(cpu, cpu.Rows[0], "mode")}",
                $"cr3 {Cell(cpu, cpu.Rows[0], "cr3")}"),
            .. walk.Rows.Select(row => new Card(
                Cell(walk, row, "flags").StartsWith("Present", StringComparison.Ordinal) ? "open" : "off",
                $"level {Cell(walk, row, "level")}, entry {Cell(walk, row, "index")}",
                    $"at {Cell(walk, row, "table")}", Cell(walk, row, "entry"), Cell(walk, row, "flags"))),
        ]);
        if (HtmlPage.Find(picture, "translation") is { } result)
            cards.Chain(result.Rows.Select(
                row => new Card("ram", Cell(result, row, "space"), Cell(result, row, "address"),
                Cell(result, row, "note"))));
        return cards.ToString();
    }

    // In this order; within a rank by the lowest address.
    private enum Rank
    {
        Device,
        Waiting,
        Platform,
        Room,
    }

    private static readonly (Rank Rank, string Heading)[] s_headings =
        [(Rank.Device, "Devices"), (Rank.Waiting, "Devices whose driver is not there yet"),
            (Rank.Platform, "Platform"), (Rank.Room, "Room for more")];

    private const ulong NoPlace = ulong.MaxValue;

    // One lane for RAM with a card for each slot, one for each DIMM.
    private IEnumerable<Lane> Memory()
    {
        if (Find("memory") is not { } memory) yield break;
        foreach (string what in memory.Rows.Select(r => Cell(memory, r, "what"))
            .Where(static w => w == "RAM" || w.StartsWith("DIMM", StringComparison.Ordinal)).Distinct())
        {
            object?[][] slots = [.. memory.Rows.Where(r => Cell(memory, r, "what") == what)];
            ulong bytes = 0;
            foreach (object?[] slot in slots) bytes += Count(Cell(memory, slot, "bytes"));
            yield return new Lane(
                Folded(slots.Select(r => new Card("ram",
                    $"{Range(Number(Cell(memory, r, "guest")), Count(Cell(memory, r, "bytes")))}",
                    $"{Size(Cell(memory, r, "bytes"))}, {Cell(memory, r, "access")}"))),
                new Card("ram", $"{what}, {HumanText.Bytes(bytes)}", slots.Length == 1 ? "one slot of KVM"
                    : $"{slots.Length} slots of KVM"),
                [.. Folded(slots.Select(r => new Card("ram", Cell(memory, r, "host"),
                    "in the monitor's address space"))),
                    .. Folded(slots.SelectMany(r =>
                    Reachable(Number(Cell(memory, r, "guest")), Count(Cell(memory, r, "bytes")))))]);
        }
    }

    // What of a slot assigned devices reach.
    private IEnumerable<Card> Reachable(ulong start, ulong bytes)
    {
        if (Find("dma") is not { Rows.Count: > 0 } dma) return [];
        return dma.Rows.Where(r => Cell(dma, r, "guest").Length > 0 && Number(Cell(dma, r, "guest")) - start < bytes)
            .Select(r => new Card("dma", $"IOMMU: IOVA {Cell(dma, r, "iova")}, {Size(Cell(dma, r, "bytes"))}",
            $"guest {Cell(dma, r, "guest")}, {Cell(dma, r, "access")}",
            $"{Cell(dma, r, "devices")} through {Cell(dma, r, "through")}"));
    }

    private Lane Processors()
    {
        Section? cpus = Find("cpus");
        object?[][] rows = [.. cpus?.Rows ?? []];
        return new Lane(
            Folded(rows.Select(r => new Card("irq", $"CPU with APIC {Cell(cpus!, r, "apic")}"))),
            new Card("irq", rows.Length == 1 ? "1 vCPU" : $"{rows.Length} vCPUs",
                Lines(rows.Select(r => $"vCPU {Cell(cpus!, r, "cpu")}: {Cell(cpus!, r, "exits")} exits"))),
            ThreadsOf("vcpu") is { Length: > 0 } threads ? [new Card("dev", "threads", threads)] : []);
    }

    // Everything with a place of its own, and where that is.
    private IEnumerable<(Rank Rank, ulong At, Lane Lane)> Devices()
    {
        HashSet<string> drawn = [];
        int transport = 0;
        ulong[] transports = [.. Blocks().Where(static b => b.Block == "VirtioMmio")
            .Select(static b => Number(b.From))];
        foreach ((string place, string kind) in Places())
        {
            if (!drawn.Add(place) || IsEmptyPort(place)) continue;
            List<Card> guest = [];
            (ulong at, Rank rank) = (NoPlace, Rank.Device);
            if (place.StartsWith("virtio-mmio", StringComparison.Ordinal) && transport < transports.Length)
            {
                at = transports[transport++];
                guest.Add(new Card("open", $"registers at {Section.Hex(at)}", "reads and doorbells without an exit"));
            }
            foreach (Card bar in Bars(place, ref at)) guest.Add(bar);
            foreach ((string block, string key) in s_platform)
            {
                if (key != place) continue;
                rank = Rank.Platform;
                foreach ((string from, _, bool port) in Blocks().Where(b => b.Block == block))
                {
                    at = Number(from);
                    guest.Add(new Card("trap", $"{(port ? "ports" : "registers")} at {from}", "each access exits"));
                }
            }
            if (guest.Count == 0 && Configuration(place) is { } configuration)
            {
                (at, rank) = (configuration, Rank.Platform);
                guest.Add(new Card("open", $"configuration at {Section.Hex(configuration)}", "reads without an exit"));
            }
            guest.AddRange(Folded(Interrupts(place)));
            // The host's end of the serial port makes it a device like others.
            if (rank == Rank.Platform && Host(place).Count > 0) rank = Rank.Device;
            yield return (at == NoPlace ? Rank.Waiting : rank, at, new Lane(guest, Device(place, kind), Host(place)));
        }
    }

    private static readonly (string Block, string Key)[] s_platform =
        [("Uart16550", "uart16550"), ("AcpiGed", "acpi-ged"), ("IoApic", "ioapic"), ("ExitPort", "exit port"),
        ("PvPanic", "pvpanic"), ("AcpiSleep", "power and reset"), ("KeyboardReset", "keyboard controller"),
        ("PciMechanism1", "PCI, empty")];

    private IEnumerable<(string Place, string Kind)> Places()
    {
        (string, string)[] sections = [("devices", "place"), ("pci", "address"), ("virtio", "place")];
        foreach ((string section, string column) in sections)
        {
            if (Find(section) is not { } rows) continue;
            foreach (object?[] row in rows.Rows)
            {
                // DIMMs are with the memory.
                if (!Cell(rows, row, column).StartsWith("0x", StringComparison.Ordinal))
                    yield return (Cell(rows, row, column), Cell(rows, row, "device"));
            }
        }
        foreach ((string block, string key) in s_platform)
        {
            if (Blocks().Any(b => b.Block == block)) yield return (key, key);
        }
    }

    // The host's bridge is the root of the tree, not a port.
    private bool IsEmptyPort(string place) => Find("pci") is { } pci
        && pci.Rows.Any(r => Cell(pci, r, "address") == place && Cell(pci, r, "leadsToBus").Length > 0)
            && !pci.Rows.Any(r => Cell(pci, r, "behind") == place);

    // Of a function without BARs, "00:02.0": PCI Express has 4 KiB for each, 8 of a device and 32 devices of a bus.
    private ulong? Configuration(string place)
    {
        if (Find("memory") is not { } memory
            || memory.Rows.FirstOrDefault(r =>
            Cell(memory, r, "what") == "PCI configuration space") is not { } space) return null;
        string[] parts = place.Split(':', '.');
        if (parts.Length != 3) return null;
        bool good = TryHex(parts[0], out uint bus) & TryHex(parts[1], out uint device)
            & TryHex(parts[2], out uint function);
        ulong offset = (ulong)bus << 20 | (ulong)device << 15 | (ulong)function << 12;
        return good ? Number(Cell(memory, space, "guest")) + offset : null;
    }

    private static bool TryHex(string text, out uint value) =>
        uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);

    private IEnumerable<(Rank Rank, ulong At, Lane Lane)> Waiting()
    {
        if (Find("pci") is { } pci && pci.Rows.Where(r => IsEmptyPort(Cell(pci, r, "address")))
            .Count() is var ports and > 0)
            yield return (Rank.Room, NoPlace,
                new Lane([], new Card("off", ports == 1 ? "1 empty root port" : $"{ports} empty root ports",
                Lines(pci.Rows.Where(r => IsEmptyPort(Cell(pci, r, "address")))
                .Select(r => $"{Cell(pci, r, "address")}, bus {Cell(pci, r, "leadsToBus")}"))), []));
        // A block for each slot, CPU and DIMM that may come or go.
        (string From, string Block, bool Port)[] units =
            [.. Blocks().Where(static b => b.Block is "AcpiUnit" or "AcpiMemory")];
        if (units.Length == 0) yield break;
        int ranges = units.Count(static u => u.Block == "AcpiMemory");
        yield return (Rank.Room, Number(units[0].From),
            new Lane([new Card("trap", $"{units[0].From} to {units[^1].From}", "each access exits")],
            new Card("off", $"{units.Length - ranges} hot-plug units", "for slots, CPUs and DIMMs that may come",
                $"{ranges} of them for DIMMs"), []));
    }

    private IEnumerable<Card> Bars(string place, ref ulong at)
    {
        List<Card> cards = [];
        if (Find("bars") is not { } bars) return cards;
        foreach (object?[] row in bars.Rows)
        {
            if (Cell(bars, row, "address") != place) continue;
            string bar = Cell(bars, row, "bar"), guest = Cell(bars, row, "guest");
            if (guest.Length > 0) at = Math.Min(at, Number(guest));
            cards.Add(new Card(guest.Length > 0 ? "open" : "off",
                $"BAR {bar} {(guest.Length > 0 ? "at " + guest : "not decoded")}",
                [Size(Cell(bars, row, "bytes")), .. Parts(place, bar)]));
        }
        return Folded(cards);
    }

    // A line for each way in which a BAR's parts are reached.
    private IEnumerable<string> Parts(string address, string bar)
    {
        if (Find("barParts") is not { } parts) yield break;
        object?[][] own = [.. parts.Rows.Where(
            r => Cell(parts, r, "address") == address && Cell(parts, r, "bar") == bar)];
        foreach (string way in own.Select(r => Cell(parts, r, "how")).Distinct())
            yield return $"{way}: {string.Join(' ', own.Where(r => Cell(parts, r, "how") == way).Select(r => Cell(parts, r, "what")).Distinct())}";
    }

    private IEnumerable<Card> Interrupts(string place)
    {
        if (Find("interrupts") is not { } all) yield break;
        foreach (object?[] row in all.Rows)
        {
            if (Cell(all, row, "source") is var source && source != place
                && !source.EndsWith(" " + place, StringComparison.Ordinal)) continue;
            string state = Cell(all, row, "state"), count = Cell(all, row, "count");
            yield return state == "open"
                ? new Card("irq", $"{Cell(all, row, "entry")} to vector {Cell(all, row, "vector")}",
                    $"GSI {Cell(all, row, "gsi")}, APIC {Cell(all, row, "apic")}, {Cell(all, row, "trigger")}",
                    Cell(all, row, "event"), Times(count))
                : new Card("off", $"{Cell(all, row, "entry")}: {state}", $"GSI {Cell(all, row, "gsi")}",
                    Cell(all, row, "event"));
        }
    }

    private static string Times(string count) => count.Length > 0 && char.IsAsciiDigit(count[0]) ? $"{count} times"
        : count;

    private Card Device(string place, string kind)
    {
        List<string> lines = place == kind ? [] : [place];
        string name = kind;
        if (Find("pci") is { } pci && pci.Rows.FirstOrDefault(r => Cell(pci, r, "address") == place) is { } function)
        {
            lines.Add(Cell(pci, function, "id"));
            if (Cell(pci, function, "behind") is { Length: > 0 } port) lines.Add($"behind root port {port}");
        }
        if (Find("virtio") is { } virtio
            && virtio.Rows.FirstOrDefault(r => Cell(virtio, r, "place") == place) is { } row)
        {
            string status = Cell(virtio, row, "status");
            lines.Add(status.Split(", ").Contains("DriverOk") ? "driver ready" : status == "None" ? "no driver yet"
                : $"status {status}");
            if (Cell(virtio, row, "id") is { Length: > 0 } id) name = $"{kind} \"{id}\"";
        }
        if (Find("queues") is { } queues)
            lines.AddRange(Lines(queues.Rows.Where(r => Cell(queues, r, "place") == place).Select(r =>
                $"queue {Cell(queues, r, "queue")}: {Cell(queues, r, "usedIndex")} of "
                + $"{Cell(queues, r, "availableIndex")} done, {Cell(queues, r, "inFlight")} in flight")));
        return new Card("dev", name, [.. lines]);
    }

    private List<Card> Host(string place)
    {
        List<Card> cards = [];
        if (Find("devices") is not { } devices
            || devices.Rows.FirstOrDefault(r => Cell(devices, r, "place") == place) is not { } row) return cards;
        string host = Cell(devices, row, "host"), backend = Cell(devices, row, "backend");
        string thread = Cell(devices, row, "thread");
        if (host.Length > 0 || backend.Length > 0)
            cards.Add(host.Length == 0 ? new Card("dev", backend)
                : new Card("dev", host, backend.Length > 0 ? [backend] : []));
        if (thread.Length > 0) cards.Add(new Card("dev", $"threads named {thread}", ThreadsOf(thread)));
        if (Find("dma") is { } dma)
            cards.AddRange(Folded(dma.Rows.Where(r => host.Length > 0
                && Cell(dma, r, "devices").Split(' ').Contains(host))
                .Select(r => new Card("dma", $"IOVA {Cell(dma, r, "iova")}, {Size(Cell(dma, r, "bytes"))}",
                $"guest {Cell(dma, r, "guest")}"))));
        return cards;
    }

    // The kernel keeps 15 characters of a name; several machines of one process have threads of one name.
    private string[] ThreadsOf(string name)
    {
        if (Find("threads") is not { } threads) return [];
        string known = name.Length > 15 ? name[..15] : name;
        return Lines(threads.Rows.Where(r => Cell(threads, r, "name").StartsWith(known, StringComparison.Ordinal))
            .Select(r => $"{Cell(threads, r, "name")}: {Cell(threads, r, "thread")}"));
    }

    private void Tables()
    {
        if (Find("acpi") is not { Rows.Count: > 0 } acpi) return;
        _cards.Heading("ACPI tables, from the root pointer on");
        _cards.Chain(acpi.Rows.Select(r =>
            new Card(Cell(acpi, r, "checksum") == "good" ? "ram" : "trap", Cell(acpi, r, "table"),
            $"{Cell(acpi, r, "guest")}, {Cell(acpi, r, "bytes")} bytes", Cell(acpi, r, "checksum") == "good"
                ? Cell(acpi, r, "declaredIn") : "its checksum is wrong")));
    }

    private IEnumerable<(string From, string Block, bool Port)> Blocks()
    {
        foreach ((string name, bool port) in new[] { ("registers", false), ("ports", true) })
        {
            if (Find(name) is not { } section) continue;
            foreach (object?[] row in section.Rows) yield return (Cell(section, row, "from"), Cell(section, row, "block"), port);
        }
    }

    // The first few, and how many more.
    private static List<Card> Folded(IEnumerable<Card> cards)
    {
        List<Card> all = [.. cards];
        if (all.Count <= MostCards) return all;
        return [.. all[..(MostCards - 1)], new Card(all[^1].Style, $"and {all.Count - MostCards + 1} more")];
    }

    private static string[] Lines(IEnumerable<string> lines)
    {
        List<string> all = [.. lines];
        return all.Count <= MostLines ? [.. all] : [.. all[..(MostLines - 1)], $"and {all.Count - MostLines + 1} more"];
    }

    private static string Range(ulong start, ulong bytes) =>
        $"{Section.Hex(start)} to {Section.Hex(start + bytes - 1)}";

    private static ulong Number(string text) => text.Length > 2 && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) ? value : 0;

    private static ulong Count(string bytes) => ulong.TryParse(bytes, out ulong n) ? n : 0;

    private static string Size(string bytes) => HumanText.Bytes(Count(bytes));

    private Section? Find(string name) => HtmlPage.Find(_picture, name);

    private static string Cell(Section section, object?[] row, string column) => HtmlPage.Cell(section, row, column);
}
