using System.Text;
using System.Text.Json;
using MicroVm.Cli.Control;
using MicroVm.Cli.Explain;
using MicroVm.Diagnostics;
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
            // "ctl NAME resize --help", and without the name.
            Output.Out(Arguments.HelpText.Ctl(
                args.Skip(1).Take(2).Select(static a => ControlCommands.Find(a))
                .FirstOrDefault(static c => c is not null)));
            return ExitCodes.Success;
        }
        string[] words = [.. args.Skip(1).Where(static a => a != "--json")];
        if (words.Length < 2) throw MicroVmException.Usage(
            "nothing to ask", "microvm ctl", "Use the machine and a command: microvm ctl NAME list");
        Func<object, string> print = args.Contains("--json") ? Json
            : words[1] == "explain" ? static result => PictureText.Of(PictureJson.Read(result)) : Text;
        string[] arguments = ControlCommands.Find(words[1]) is { HasPaths: true }
            ? Change.From(words[2..], Environment.CurrentDirectory) : words[2..];
        return Execute(words[0], new ControlRequest { Command = words[1], Arguments = arguments }, print);
    }

    /// <summary>Asks a machine and prints what it answers; the exit code.</summary>
    /// <param name="machine">Its name or the path of its socket.</param>
    /// <param name="request">What to ask.</param>
    /// <param name="print">Makes text of the result.</param>
    internal static int Execute(string machine, ControlRequest request, Func<object, string> print)
    {
        ControlAnswer answer = Ask(machine, request);
        if (!answer.Ok) return Refused(answer);
        if (answer.Result is { } result) Output.Out(print(result));
        return ExitCodes.Success;
    }

    /// <summary>Says why a machine did not do what it was asked for; the exit code.</summary>
    internal static int Refused(ControlAnswer answer)
    {
        Output.ErrorLine($"microvm: error: {answer.Error}");
        return answer.Code ?? (int)FailureKind.Host;
    }

    /// <summary>A result for programs, on one line.</summary>
    internal static string Json(object result) => Encoding.UTF8.GetString(JsonText.Of(result));

    /// <summary>Asks a machine.</summary>
    /// <param name="machine">Its name or the path of its socket.</param>
    /// <param name="request">What to ask.</param>
    /// <exception cref="MicroVmException">It cannot be reached.</exception>
    internal static ControlAnswer Ask(string machine, ControlRequest request)
    {
        string path = ControlPath.Check(ControlPath.Of(machine, machine), machine);
        int fd = HostSocket.Connect(path);
        int patience = ControlCommands.Find(request.Command) is { TakesItsTime: true } ? Timeout.Infinite
            : PatienceMilliseconds;
        return fd < 0 ? throw Unreachable(path, -fd) : Ask(fd, path, request, patience);
    }

    /// <summary>Asks over a connection, which is closed.</summary>
    /// <param name="fd">The connection.</param>
    /// <param name="path">Its socket, for messages.</param>
    /// <param name="request">What to ask.</param>
    /// <param name="patience">How long the answer may take, in milliseconds.</param>
    /// <exception cref="MicroVmException">There is no answer, or it is not one.</exception>
    internal static ControlAnswer Ask(int fd, string path, ControlRequest request, int patience)
    {
        try
        {
            // A server that refuses the connection has answered before it closed.
            _ = ControlLine.Send(fd, request.ToLine());
            return ControlAnswer.Read(Receive(fd, path, patience));
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

    // A machine takes its socket with it, unless it was killed.
    private static MicroVmException Unreachable(string path, int error) => error switch
    {
        Libc.ECONNREFUSED => MicroVmException.Host(
            "the machine has ended, and not by itself", path,
            "See why it was killed (dmesg, its starter's log), then start it again: it takes the socket over"),
        Libc.ENOENT => MicroVmException.Host(
            "no such machine runs", path,
            "See 'microvm ps' for those that do, or start it with --name NAME or --api-socket PATH"),
        _ => MicroVmException.Refused(FailureKind.Host, "cannot reach the machine", path, error,
            "Use the user that started it, and the path of its control socket"),
    };

    private static byte[] Receive(int fd, string path, int patience)
    {
        using MemoryStream answer = new();
        Span<byte> part = stackalloc byte[4096];
        while (answer.Length < MaxAnswer)
        {
            int read = HostIo.Read(fd, part);
            if (read == -Libc.EAGAIN)
            {
                if (!HostIo.Wait(fd, Libc.EPOLLIN, patience) && patience != Timeout.Infinite)
                    throw MicroVmException.Host($"no answer in {patience / 1000} seconds", path,
                    "See whether that process still runs");
                continue;
            }
            if (read <= 0) break;
            answer.Write(part[..read]);
            if (part[read - 1] == '\n') return answer.ToArray();
        }
        throw MicroVmException.Host("the machine ended before it answered", path, "See what it said");
    }

    /// <summary>A result for people: a line for each element, a column for each of its members; of a single object a line for each member.</summary>
    internal static string Text(object result)
    {
        string[][] rows = result switch
        {
            JsonList { Count: 0 } => [],
            JsonList list => [[.. Map(list[0]).Names], .. list.Select(static row => (string[])[.. Map(row).Values.Select(Cell)])],
            JsonMap single => [.. single.Names.Select(name => new[] { name, Cell(single[name]) })],
            _ => [[Cell(result)]],
        };
        StringBuilder text = new();
        PictureText.Align(text, rows);
        return text.ToString();
    }

    private static string Cell(object? value) => value switch
    {
        null or "" => "-",
        bool flag => flag ? "true" : "false",
        JsonList list => string.Join(' ', list.Select(Cell)),
        _ => value.ToString()!,
    };

    private static JsonMap Map(object? row) => row as JsonMap ?? new JsonMap();
}
