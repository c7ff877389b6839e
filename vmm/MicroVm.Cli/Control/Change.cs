using System.Globalization;
using MicroVm.Cli.Arguments;

namespace MicroVm.Cli.Control;

/// <summary>Commands that change a machine while its guest runs.</summary>
internal static class Change
{
    /// <summary>What <see cref="Resize"/> takes.</summary>
    internal const string ResizeForm = "ID [SIZE]|--cpus N [--wait S]|--virtio-mem SIZE|--balloon SIZE";

    // The client waits for an answer for a minute.
    private const int MaxWait = 50;

    private static readonly Option<RunSettings>[] s_devices = [.. Array.FindAll(RunOptions.All, static o => o.Pluggable), new("memory", DimmText.Form, "", static (s, v) => s.Dimm = s.Dimm is null ? DimmText.Parse(v) : throw v.Bad("add takes one DIMM", "Give one, and then the next"))];
    private static readonly Option<RunSettings>[] s_sizes = Array.FindAll(RunOptions.All, static o => o.Name is "cpus");

    /// <summary>Plugs one device in; its row of <c>list</c>.</summary>
    internal static object? Add(Machine machine, IReadOnlyList<string> words)
    {
        RunSettings settings = new();
        string[] rest = Take(words, out TimeSpan? limit, out bool force);
        if (force) throw MicroVmException.Usage("unexpected argument", "add --force", "Leave it out");
        foreach ((Option<RunSettings> option, OptionValue value) in ArgumentParser.Parse("ctl add", rest, 0, s_devices) ?? []) option.Set(settings, value);
        VirtioOptions[] devices = [.. settings.Virtio, .. settings.Rng ? [new RngOptions()] : Array.Empty<VirtioOptions>()];
        int given = devices.Length + settings.Devices.Count + (settings.Dimm is null ? 0 : 1);
        if (given != 1) throw MicroVmException.Usage("add takes one device", $"{given} were given", "Give one: add --disk path=F,id=NAME");
        DeviceInfo added = settings.Dimm is { } dimm ? machine.AddMemory(dimm.Bytes, dimm.Id, limit) : settings.Devices is [var device] ? machine.Assign(device, limit) : machine.Add(devices[0], limit);
        return ControlCommands.Device(added);
    }

    /// <summary>Takes one device out.</summary>
    internal static object? Remove(Machine machine, IReadOnlyList<string> words)
    {
        string[] rest = Take(words, out TimeSpan? limit, out bool force);
        if (rest.Length != 1) throw MicroVmException.Usage("remove takes one device", $"{rest.Length} were given", "Give its id or place, as list shows them");
        if (force) machine.Pull(rest[0]);
        else machine.Remove(rest[0], limit);
        return null;
    }

    /// <summary>Changes how much of something the machine has.</summary>
    internal static object? Resize(Machine machine, IReadOnlyList<string> words)
    {
        string[] rest = Take(words, out TimeSpan? limit, out bool force);
        if (rest is [var id, ..] && !id.StartsWith('-')) return ResizeDisk(machine, id, rest[1..]);
        if (MemoryCommands.TryResize(machine, rest)) return null;
        RunSettings settings = new();
        foreach ((Option<RunSettings> option, OptionValue value) in ArgumentParser.Parse("ctl resize", rest, 0, s_sizes) ?? []) option.Set(settings, value);
        if (force || settings.Cpus is not { } cpus) throw MicroVmException.Usage("resize takes a size", force ? "--force" : "none was given", $"Give {ResizeForm}");
        machine.ResizeCpus(cpus, limit);
        return null;
    }

    private static object? ResizeDisk(Machine machine, string id, string[] rest)
    {
        if (rest.Length > 1) throw MicroVmException.Usage("unexpected argument", rest[1], $"Give {ResizeForm}");
        ulong? size = rest.Length == 0 ? null : SizeText.TryParse(rest[0], out ulong bytes) ? bytes : throw MicroVmException.Usage("not a size", rest[0], "Give it as 500M or 8G");
        machine.ResizeDisk(id, size);
        return null;
    }

    // The words that are not about how to do it.
    private static string[] Take(IReadOnlyList<string> words, out TimeSpan? limit, out bool force)
    {
        (limit, force) = (null, false);
        List<string> rest = [];
        for (int i = 0; i < words.Count; i++)
        {
            if (words[i] == "--force") force = true;
            else if (words[i] == "--wait") limit = Seconds(i + 1 < words.Count ? words[++i] : "");
            else rest.Add(words[i]);
        }
        return [.. rest];
    }

    // Seconds, with up to three digits behind a point. Without the parser of floating-point numbers, which the program has no other use for (docs/decisions/0004).
    private static TimeSpan Seconds(string text)
    {
        int point = text.IndexOf('.');
        string whole = point < 0 ? text : text[..point], part = point < 0 ? "" : text[(point + 1)..];
        bool good = uint.TryParse(whole, NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds) & uint.TryParse(part.PadRight(3, '0'), NumberStyles.None, CultureInfo.InvariantCulture, out uint thousandths);
        long milliseconds = seconds * 1000L + thousandths;
        return good && part.Length <= 3 && milliseconds is > 0 and <= MaxWait * 1000
            ? TimeSpan.FromMilliseconds(milliseconds) : throw MicroVmException.Usage("not a time to wait", $"--wait {text}", $"Give seconds, at most {MaxWait}");
    }
}
