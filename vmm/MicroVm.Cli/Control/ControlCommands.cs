using System.Text.Json;
using MicroVm.Cli.Arguments;
using MicroVm.Diagnostics;

namespace MicroVm.Cli.Control;

/// <summary>A command of the control socket, once: the server, its errors and the help read this.</summary>
/// <param name="Name">First word.</param>
/// <param name="Form">What stands for its words in the help; empty if it takes none.</param>
/// <param name="Help">One line of help.</param>
/// <param name="Run">Does it, on a thread that is no vCPU's, one at a time; answers its result, or throws <see cref="MicroVmException"/>.</param>
internal sealed record ControlCommand(string Name, string Form, string Help, Func<Machine, IReadOnlyList<string>, object?> Run)
{
    /// <summary>Words of it may be paths.</summary>
    internal bool HasPaths => Array.Exists(Options, static o => o.Parts is not null);

    /// <summary>Its flags, for its help.</summary>
    internal Option<ChangeSettings>[] Options { get; init; } = [];

    /// <summary>It waits for the guest, and other commands are answered meanwhile.</summary>
    internal bool Waits { get; init; }

    /// <summary>Its answer may come at any time, or never.</summary>
    internal bool TakesItsTime { get; init; }

    /// <summary>It ends the machine, and waits for nothing.</summary>
    internal bool Ends { get; init; }
}

/// <summary>What can be asked of a running machine.</summary>
internal static class ControlCommands
{
    internal static readonly ControlCommand[] All =
    [
        new("info", "", "What the machine is, for how long it has run, and how often it left the guest.",
            static (m, _) => Info(m)),
        new("list", "",
            "Its devices: name, kind, where the guest finds them, what they are on the host, and\nwhat serves them there.", static (m, _) => List(m)),
        new("explain", ExplainRequest.Form, "The whole picture, or the way of an address: see microvm explain.", static (m, words) => PictureJson.Of(ExplainRequest.Parse(words).Ask(m))),
        new("add", "DEVICE [--wait S]",
            "Plug a device into a free PCI slot: --disk, --net, --vsock, --rng or\n--device, with the parts that 'microvm run' takes; or a DIMM:\n--memory SIZE[,id=NAME]. Prints what it became.", static (m, w) => Change.Add(m, w)) { Waits = true, Options = Change.AddOptions },
        new("remove", "ID [--wait S|--force]",
            "Ask the guest for a device or a DIMM, named by id or place, and close it. The guest\nmay take 10 seconds, or S; --force pulls it without asking.", static (m, w) => Change.Remove(m, w)) { Waits = true, Options = Change.RemoveOptions },
        new("resize", Change.ResizeForm,
            "Make a disk larger, or take over the size that its file has now; or give the guest\nCPUs, up to --max-cpus, or ask for some back; or change how much of virtio-mem it\nshould have, or how much it should give up by the balloon.", static (m, w) => Change.Resize(m, w)) { Waits = true, Options = Change.ResizeOptions },
        new("memory", "", "How much memory the guest has, from where.", static (m, _) => MemoryCommands.Memory(m)),
        new("balloon", "", "The balloon: its target, its size, and the guest's own figures of its memory.", static (m, _) => MemoryCommands.Balloon(m)),
        new("power-button", "", "Press the power button: the guest shuts down, if it listens.", static (m, _) => Done(m.PressPowerButton)),
        new("wait", "", "Wait until the machine ends; prints how, and its exit code.",
            static (m, _) => Ending(m.Parts.End.Wait())) { Waits = true, TakesItsTime = true },
        new("stop", "", "End the machine, as if its power were cut.", static (m, _) =>
            Done(() => m.Stop("stopped over the control socket"))) { Ends = true },
    ];

    /// <summary>The command of that name, or null.</summary>
    internal static ControlCommand? Find(string name) => Array.Find(All, c => c.Name == name);

    /// <summary>The command of a request.</summary>
    /// <exception cref="MicroVmException">There is none, or it takes no words.</exception>
    internal static ControlCommand Find(ControlRequest request)
    {
        ControlCommand? command = Find(request.Command);
        if (command is null)
        {
            string? near = Suggestion.For(request.Command, Array.ConvertAll(All, static c => c.Name));
            throw MicroVmException.Usage("unknown control command", Shown(request.Command), near is null ? "Run 'microvm ctl --help' for them" : $"Did you mean {near}?");
        }
        if (command.Form.Length == 0 && request.Arguments.Count > 0) throw MicroVmException.Usage("unexpected argument", $"{command.Name} {Shown(request.Arguments[0])}", $"Give {command.Name} alone");
        return command;
    }

    // A client's words come back in a message of bounded length.
    private static string Shown(string? word) => word is { Length: > 64 } ? word[..64] + "..." : string.IsNullOrEmpty(word) ? "''" : word;

    /// <summary>A reason as programs read it: <c>emergency-restart</c>.</summary>
    internal static string NameOf(EndReason reason) => JsonNamingPolicy.KebabCaseLower.ConvertName($"{reason}");

    private static JsonMap Ending(MachineResult end) => new()
    {
        ["reason"] = NameOf(end.Reason), ["exitCode"] = end.ExitCode, ["description"] = end.Description,
    };

    private static JsonMap Info(Machine machine) => new()
    {
        ["version"] = ProductVersion.Text,
        ["name"] = machine.Name,
        ["state"] = machine.State,
        ["uptimeSeconds"] = (long)machine.Uptime.TotalSeconds,
        ["pid"] = Environment.ProcessId,
        ["cpus"] = machine.Cpus,
        ["maxCpus"] = machine.PossibleCpus,
        ["memoryBytes"] = machine.MemoryBytes,
        ["devices"] = machine.Devices.Count,
        ["exits"] = machine.Exits,
        ["collections"] = GC.CollectionCount(0),
        ["allocated"] = GC.GetTotalAllocatedBytes(),
    };

    private static JsonList List(Machine machine) => new(machine.Devices.Select(Device));

    /// <summary>A row of <c>list</c>.</summary>
    internal static JsonMap Device(DeviceInfo d) => new()
    {
        ["id"] = d.Id,
        ["kind"] = d.Kind,
        ["place"] = d.Place,
        ["host"] = d.Host,
        ["backend"] = d.Backend,
        ["thread"] = d.Thread,
    };

    private static object? Done(Action action)
    {
        action();
        return null;
    }
}
