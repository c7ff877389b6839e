namespace Dispatch.Bench;

/// <summary>The words of the result files.</summary>
internal static class Suites
{
    internal static string About(string name) => name switch
    {
        "dispatch" => "Time and bytes allocated for one access. Just-in-time compiled without profile; the product is compiled ahead of time. An exit to the VMM costs thousands of nanoseconds: what counts here is 0 bytes and no slope.",
        "queue" => "Time and bytes allocated for one chain: popped, its descriptors copied and checked, pushed.",
        "tables" => "Time and bytes allocated for all tables of a machine, checksums included.",
        nameof(VirtioMmioDispatch) => "virtio-mmio: a driver's 16 accesses",
        nameof(UartDispatch) => "16550: 10 accesses",
        nameof(BusLookup) => "AddressSpace.Find over N ranges",
        nameof(BusAccess) => "GuestBus: look-up, lock, dispatch, trace",
        nameof(QueueWalk) => "Virtqueue: TryPop and Push",
        nameof(AcpiBuild) => "AcpiTables.Build",
        _ => name,
    };

    // The exporter repeats the machine above each table; once is enough.
    internal static string Tidy(string text)
    {
        List<string> lines = [];
        int blocks = 0;
        bool inside = false;
        foreach (string raw in text.Split('\n'))
        {
            // Names with blanks come quoted.
            string line = string.Join('|', raw.TrimEnd().Split('|').Select(cell => cell.Replace("&#39;", "", StringComparison.Ordinal).PadRight(cell.Length)));
            if (line.StartsWith("```", StringComparison.Ordinal))
            {
                inside = !inside;
                if (inside) blocks++;
            }
            bool fence = line.StartsWith("```", StringComparison.Ordinal);
            if (blocks > 1 && (inside || fence)) continue;
            if (line.Length == 0 && (lines.Count == 0 || lines[^1].Length == 0)) continue;
            lines.Add(line);
        }
        return string.Join('\n', lines).TrimEnd() + "\n";
    }
}
