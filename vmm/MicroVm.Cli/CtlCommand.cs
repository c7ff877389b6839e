using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using MicroVm.Cli.Control;
using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary><c>microvm ctl NAME-or-PATH COMMAND ...</c>: asks a running machine over its control socket.</summary>
internal static class CtlCommand
{
    private const int MaxAnswer = 16 << 20, PatienceMilliseconds = 60_000;

    internal static int Execute(string[] args)
    {
        if (args.Skip(1).Any(static a => a is "--help" or "-h"))
        {
            Output.Out(Arguments.HelpText.Ctl());
            return ExitCodes.Success;
        }
        string[] words = [.. args.Skip(1).Where(static a => a != "--json")];
        if (words.Length < 2) throw MicroVmException.Usage("nothing to ask", "microvm ctl", "Give the machine and a command: microvm ctl NAME list");
        string path = ControlPath.Check(ControlPath.Of(words[0], $"ctl {words[0]}"), $"ctl {words[0]}");
        ControlAnswer answer = Ask(path, new ControlRequest { Command = words[1], Arguments = words[2..] });
        if (!answer.Ok)
        {
            Output.ErrorLine($"microvm: error: {answer.Error}");
            return answer.Code ?? (int)FailureKind.Host;
        }
        if (answer.Result is { } result) Output.Out(args.Contains("--json") ? result.ToJsonString() + "\n" : Text(result));
        return ExitCodes.Success;
    }

    private static ControlAnswer Ask(string path, ControlRequest request)
    {
        int fd = HostSocket.Connect(path);
        if (fd < 0) throw MicroVmException.Refused(FailureKind.Host, "cannot reach the machine", path, -fd, "Start it with --name NAME or --api-socket PATH");
        try
        {
            byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.ControlRequest), (byte)'\n'];
            // A server that refuses the connection has answered before it closed.
            _ = ControlLine.Send(fd, line);
            return JsonSerializer.Deserialize(Receive(fd, path), ControlJson.Default.ControlAnswer) ?? throw new JsonException();
        }
        catch (JsonException)
        {
            throw MicroVmException.Host("the answer is not one of microvm's", path, "Look who listens there");
        }
        finally
        {
            HostSocket.Close(fd);
        }
    }

    private static byte[] Receive(int fd, string path)
    {
        using MemoryStream answer = new();
        Span<byte> part = stackalloc byte[4096];
        while (answer.Length < MaxAnswer)
        {
            int read = HostIo.Read(fd, part);
            if (read == -Libc.EAGAIN)
            {
                if (!HostIo.Wait(fd, Libc.EPOLLIN, PatienceMilliseconds)) throw MicroVmException.Host($"no answer in {PatienceMilliseconds / 1000} seconds", path, "See whether that process still runs");
                continue;
            }
            if (read <= 0) break;
            answer.Write(part[..read]);
            if (part[read - 1] == '\n') return answer.ToArray();
        }
        throw MicroVmException.Host("the machine ended before it answered", path, "See what it said");
    }

    /// <summary>A result for people: a line for each element, a column for each of its members; of a single object a line for each member.</summary>
    internal static string Text(JsonNode result)
    {
        string[][] rows = result switch
        {
            JsonArray { Count: 0 } => [],
            JsonArray array => [[.. array[0]!.AsObject().Select(static m => m.Key)], .. array.Select(static o => o!.AsObject().Select(static m => Cell(m.Value)).ToArray())],
            JsonObject single => [.. single.Select(static m => new[] { m.Key, Cell(m.Value) })],
            _ => [[Cell(result)]],
        };
        StringBuilder text = new();
        foreach (string[] row in rows)
        {
            StringBuilder line = new();
            for (int i = 0; i < row.Length; i++) line.Append(row[i].PadRight(rows.Max(r => r[i].Length) + 2));
            text.Append(line.ToString().TrimEnd()).Append('\n');
        }
        return text.ToString();
    }

    private static string Cell(JsonNode? value) => value?.ToString() is { Length: > 0 } text ? text : "-";
}
