using System.Globalization;
using MicroVm.Cli.Arguments;

namespace MicroVm.Cli.Control;

/// <summary>What the words of a change said.</summary>
internal sealed class ChangeSettings
{
    /// <summary>The devices to add.</summary>
    internal RunSettings Devices { get; } = new();
    internal (ulong Bytes, string? Id)? Dimm { get; set; }
    internal TimeSpan? Limit { get; set; }
    internal bool Force { get; set; }
    internal int? Cpus { get; set; }
    internal ulong? VirtioMem { get; set; }
    internal ulong? Balloon { get; set; }
}

/// <summary>Commands that change a machine while its guest runs.</summary>
internal static class Change
{
    /// <summary>What <see cref="Resize"/> takes.</summary>
    internal const string ResizeForm = "ID [SIZE]|--cpus N [--wait S]|--virtio-mem SIZE|--balloon SIZE";

    // The client waits for an answer for a minute.
    private const int MaxWait = 50;

    private static readonly Option<ChangeSettings> s_wait =
        new("wait", "S", "Seconds that the guest may take, at most 50.", static (s, v) =>
        s.Limit = Seconds(v)) { Default = "10" };

    /// <summary>The flags of <see cref="Add"/>.</summary>
    internal static readonly Option<ChangeSettings>[] AddOptions =
    [
        .. RunOptions.All.Where(static o => o.Pluggable)
            .Select(static o => new Option<ChangeSettings>(o.Name, o.Value, o.Help, (s, v) => o.Set(s.Devices, v))
        {
            Heading = o.Heading, Repeatable = true, Parts = o.Parts,
        }),
        new("memory", DimmText.Form, "A DIMM; see --max-memory of 'microvm run'.", static (s, v) =>
            s.Dimm = DimmText.Parse(v)),
        s_wait with { Heading = "How" },
    ];

    /// <summary>The flags of <see cref="Remove"/>.</summary>
    internal static readonly Option<ChangeSettings>[] RemoveOptions =
    [
        s_wait with { Heading = "How" },
        new("force", null, "Pull the device without asking the guest, which may lose data.", static (s, _) =>
            s.Force = true),
    ];

    /// <summary>The flags of <see cref="Resize"/>.</summary>
    internal static readonly Option<ChangeSettings>[] ResizeOptions =
    [
        new("cpus", "N", "vCPUs that the guest should have, 1 to --max-cpus.", static (s, v) =>
            s.Cpus = RunOptions.Cpus(v)) { Heading = "What, unless it is the disk ID" },
        new("virtio-mem", "SIZE", "Memory that the guest should have of virtio-mem.", static (s, v) =>
            s.VirtioMem = SizeText.Parse(v)),
        new("balloon", "SIZE", "Memory that the guest should give up by the balloon.", static (s, v) =>
            s.Balloon = SizeText.Parse(v)),
        s_wait with { Heading = "How", Help = s_wait.Help + " With --cpus." },
    ];

    /// <summary>The words of <see cref="Add"/> with their paths as they are seen from a folder: the machine may be in
    /// another one.</summary>
    /// <param name="words">As the user gave them.</param>
    /// <param name="folder">An absolute path.</param>
    internal static string[] From(string[] words, string folder)
    {
        string[] from = [.. words];
        for (int i = 0; i < from.Length; i++)
        {
            string word = from[i];
            int equals = word.IndexOf('=', StringComparison.Ordinal), name = equals < 0 ? word.Length : equals;
            if (!word.StartsWith("--", StringComparison.Ordinal)
                || ArgumentParser.Find(AddOptions, word.AsSpan(2, name - 2))?.Parts is not { } parts) continue;
            if (equals >= 0)
                from[i] = word[..(equals + 1)] + parts(new OptionValue(word[(equals + 1)..], word)).From(folder);
            else if (i + 1 < from.Length)
                from[++i] = parts(new OptionValue(words[i], $"{word} {words[i]}")).From(folder);
        }
        return from;
    }

    /// <summary>Plugs one device in; its row of <c>list</c>.</summary>
    internal static object? Add(Machine machine, IReadOnlyList<string> words)
    {
        ChangeSettings change = Parse("add", words, AddOptions, null);
        RunSettings given = change.Devices;
        VirtioOptions[] devices = [.. given.Virtio, .. given.Rng ? [new RngOptions()] : Array.Empty<VirtioOptions>()];
        int count = devices.Length + given.Devices.Count + (change.Dimm is null ? 0 : 1);
        if (count != 1) throw MicroVmException.Usage(
            "add takes one device", $"{count} were given", "Use one: add --disk F,id=NAME");
        DeviceInfo added = change.Dimm is { } dimm ? machine.AddMemory(dimm.Bytes, dimm.Id, change.Limit)
            : given.Devices is [var device] ? machine.Assign(device, change.Limit)
                : machine.Add(devices[0], change.Limit);
        return ControlCommands.Device(added);
    }

    /// <summary>Takes one device out.</summary>
    internal static object? Remove(Machine machine, IReadOnlyList<string> words)
    {
        List<string> devices = [];
        ChangeSettings change = Parse("remove", words, RemoveOptions, devices);
        if (devices.Count != 1) throw MicroVmException.Usage(
            "remove takes one device", $"{devices.Count} were given", "Use its id or place, as list shows them");
        if (change.Force) machine.Pull(devices[0]);
        else machine.Remove(devices[0], change.Limit);
        return null;
    }

    /// <summary>Changes how much of something the machine has.</summary>
    internal static object? Resize(Machine machine, IReadOnlyList<string> words)
    {
        List<string> disk = [];
        ChangeSettings change = Parse("resize", words, ResizeOptions, disk);
        int count = (disk.Count > 0 ? 1 : 0) + (change.Cpus is null ? 0 : 1) + (change.VirtioMem is null ? 0 : 1)
            + (change.Balloon is null ? 0 : 1);
        if (count != 1) throw MicroVmException.Usage(
            "resize takes a size", count == 0 ? "none was given" : $"{count} were given", $"Use {ResizeForm}");
        if (change.Cpus is { } cpus) machine.ResizeCpus(cpus, change.Limit);
        else if (change.VirtioMem is { } present) machine.ResizeVirtioMem(present);
        else if (change.Balloon is { } target) machine.ResizeBalloon(target);
        else ResizeDisk(machine, disk);
        return null;
    }

    private static void ResizeDisk(Machine machine, List<string> words)
    {
        if (words.Count > 2) throw MicroVmException.Usage("unexpected argument", words[2], $"Use {ResizeForm}");
        ulong? size = words.Count == 1 ? null : SizeText.TryParse(words[1], out ulong bytes) ? bytes
            : throw MicroVmException.Usage("not a size", words[1], "Use K, M, G or T: 500M, 8G");
        machine.ResizeDisk(words[0], size);
    }

    private static ChangeSettings Parse(
        string command, IReadOnlyList<string> words, Option<ChangeSettings>[] options, List<string>? others)
    {
        ChangeSettings change = new();
        foreach ((Option<ChangeSettings> option, OptionValue value) in ArgumentParser.Parse(
            "ctl NAME " + command, [.. words], 0, options, others) ?? []) option.Set(change, value);
        return change;
    }

    // Seconds, with up to three digits behind a point. Without the parser of floating-point numbers, which the program has no other use for (docs/decisions/0004).
    private static TimeSpan Seconds(OptionValue v)
    {
        string text = v.Text;
        int point = text.IndexOf('.');
        string whole = point < 0 ? text : text[..point], part = point < 0 ? "" : text[(point + 1)..];
        bool good = uint.TryParse(whole, NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds) & uint.TryParse(part.PadRight(3, '0'), NumberStyles.None, CultureInfo.InvariantCulture, out uint thousandths);
        long milliseconds = seconds * 1000L + thousandths;
        return good && part.Length <= 3 && milliseconds is > 0 and <= MaxWait * 1000
            ? TimeSpan.FromMilliseconds(milliseconds)
                : throw v.Bad("not a time to wait", $"Use seconds, at most {MaxWait}");
    }
}
