using System.Text.Json.Nodes;
using MicroVm.Cli.Arguments;

namespace MicroVm.Cli.Control;

/// <summary>A command of the control socket, once: the server, its errors and the help read this.</summary>
/// <param name="Name">First word.</param>
/// <param name="Form">What stands for its words in the help; empty if it takes none.</param>
/// <param name="Help">One line of help.</param>
/// <param name="Run">Does it, on a thread that is no vCPU's, one at a time; answers its result, or throws <see cref="MicroVmException"/>.</param>
internal sealed record ControlCommand(string Name, string Form, string Help, Func<Machine, IReadOnlyList<string>, JsonNode?> Run);

/// <summary>What can be asked of a running machine.</summary>
internal static class ControlCommands
{
    internal static readonly ControlCommand[] All =
    [
        new("info", "", "What the machine is and how often it left the guest.", static (m, _) => Info(m)),
        new("list", "", "Its devices: name, kind, and where the guest finds them.", static (m, _) => List(m)),
        new("power-button", "", "Press the power button: the guest shuts down, if it listens.", static (m, _) => Done(m.PressPowerButton)),
        new("stop", "", "End the machine, as if its power were cut.", static (m, _) => Done(() => m.Stop("stopped over the control socket"))),
    ];

    /// <summary>Does what a request asks for.</summary>
    /// <exception cref="MicroVmException">There is no such command, its words are wrong, or it failed.</exception>
    internal static JsonNode? Execute(Machine machine, ControlRequest request)
    {
        ControlCommand? command = Array.Find(All, c => c.Name == request.Command);
        if (command is null)
        {
            string? near = Suggestion.For(request.Command, Array.ConvertAll(All, static c => c.Name));
            throw MicroVmException.Usage("unknown control command", Shown(request.Command), near is null ? "Run 'microvm ctl --help' for them" : $"Did you mean {near}?");
        }
        if (command.Form.Length == 0 && request.Arguments.Count > 0) throw MicroVmException.Usage("unexpected argument", $"{command.Name} {Shown(request.Arguments[0])}", $"Give {command.Name} alone");
        return command.Run(machine, request.Arguments);
    }

    // A client's words come back in a message of bounded length.
    private static string Shown(string? word) => word is { Length: > 64 } ? word[..64] + "..." : word ?? "null";

    private static JsonObject Info(Machine machine) => new()
    {
        ["version"] = Commands.Version,
        ["pid"] = Environment.ProcessId,
        ["cpus"] = machine.Cpus,
        ["memoryBytes"] = machine.MemoryBytes,
        ["devices"] = machine.Devices.Count,
        ["exits"] = machine.Exits,
    };

    private static JsonArray List(Machine machine) =>
        new([.. machine.Devices.Select(static d => new JsonObject { ["id"] = d.Id, ["kind"] = d.Kind, ["place"] = d.Place })]);

    private static JsonNode? Done(Action action)
    {
        action();
        return null;
    }
}
