using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>The control socket of a machine that runs, and what clients may do to it.</summary>
public sealed class ControlTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-ctl-").FullName;
    private readonly List<Process> _started = [];

    public void Dispose()
    {
        foreach (Process process in _started)
        {
            if (!process.HasExited) process.Kill();
            process.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }

    [KvmFact]
    public void Machine_answers_and_stops_and_takes_its_socket_with_it()
    {
        string disk = Path.Combine(_folder, "disk"), socket = Path.Combine(_folder, "s");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        Process machine = Start("--api-socket", socket, "--pci-ports", "1", "--disk", $"path={disk},id=data,port=1");
        Assert.Equal("600\n", Cli.Shell("stat -c %a \"$1\"", socket).Out);
        Assert.Matches(@"(?m)^data +virtio-block +01:00\.0$", Cli.Run("ctl", socket, "list").Out);
        Assert.Equal("data", JsonNode.Parse(Cli.Run("ctl", socket, "list", "--json").Out)![2]!["id"]!.GetValue<string>());
        Assert.Equal(4 << 20, JsonNode.Parse(Cli.Run("ctl", socket, "info", "--json").Out)!["memoryBytes"]!.GetValue<int>());
        Assert.Equal(new Ran(0, "", ""), Cli.Run("ctl", socket, "power-button"));
        Assert.Equal(new Ran(0, "", ""), Cli.Run("ctl", socket, "stop"));
        Assert.True(machine.WaitForExit(10_000));
        Assert.Equal((125, "microvm: stopped over the control socket\n"), (machine.ExitCode, machine.StandardError.ReadToEnd()));
        Assert.False(File.Exists(socket));
    }

    [KvmFact]
    public void Wrong_commands_are_refused_with_the_codes_of_the_contract()
    {
        string socket = Path.Combine(_folder, "s");
        _ = Start("--api-socket", socket);
        foreach ((int code, string[] words) in new (int, string[])[] { (127, [socket, "lst"]), (127, [socket, "list", "x"]), (127, [socket]), (127, [".x", "list"]), (125, [_folder + "/none", "list"]) })
        {
            Ran ran = Cli.Run(["ctl", .. words]);
            _ = ran.ErrorLine();
            Assert.Equal(code, ran.Code);
        }
    }

    [KvmFact]
    public void Whatever_a_client_sends_is_answered_with_an_error_and_the_machine_runs_on()
    {
        string socket = Path.Combine(_folder, "s");
        Process machine = Start("--api-socket", socket);
        string[] requests =
        [
            "", "{", "null", "[]", "7", "\u00ff\u0000", """{"command":1}""", """{"command":null}""", """{"arguments":[]}""", """{"command":"info","x":1}""",
            """{"command":"info","arguments":null}""", """{"command":"info","arguments":[null]}""", """{"command":"info","arguments":["a"]}""", """{"command":"no such"}""",
            $$"""{"command":"info","arguments":{{new string('[', 5000)}}{{new string(']', 5000)}}}""", new string('x', 300_000),
        ];
        foreach (string request in requests)
        {
            JsonNode answer = Ask(socket, request);
            Assert.False(answer["ok"]!.GetValue<bool>(), request);
            Assert.Equal(127, answer["code"]!.GetValue<int>());
            Assert.Matches(@"^[^\n]+, [^\n]+\. [^\n]+[.?]$", answer["error"]!.GetValue<string>());
        }
        Assert.True(Ask(socket, """{"command":"info"}""")["ok"]!.GetValue<bool>());
        Assert.False(machine.HasExited);
    }

    [KvmFact]
    public void Silent_clients_and_ones_that_never_read_hold_up_nobody()
    {
        string socket = Path.Combine(_folder, "s");
        _ = Start("--api-socket", socket);
        using Socket deaf = Connect(socket);
        _ = deaf.Send(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"command\":\"info\"}\n", 2000))));
        List<Socket> silent = [.. Enumerable.Range(0, 14).Select(_ => Connect(socket))];
        Assert.True(Ask(socket, """{"command":"info"}""")["ok"]!.GetValue<bool>());
        silent.AddRange(Enumerable.Range(0, 20).Select(_ => Connect(socket)));
        using NetworkStream last = new(silent[^1]);
        Assert.Contains("too many connections", new StreamReader(last).ReadLine(), StringComparison.Ordinal);
        silent.ForEach(static s => s.Dispose());
    }

    [KvmFact]
    public void A_path_that_is_taken_is_refused_and_left_alone()
    {
        string file = Path.Combine(_folder, "file"), link = Path.Combine(_folder, "link"), socket = Path.Combine(_folder, "s"), stale = Path.Combine(_folder, "stale");
        File.WriteAllText(file, "mine");
        File.CreateSymbolicLink(link, Path.Combine(_folder, "nowhere"));
        _ = Start("--api-socket", socket);
        foreach (string path in new[] { file, link, socket })
        {
            Ran ran = Cli.Run("run", "--kernel", Guests.Path("halt.elf"), "--memory", "4M", "--api-socket", path);
            Assert.Equal(125, ran.Code);
            Assert.Contains("cannot make the control socket", ran.ErrorLine(), StringComparison.Ordinal);
        }
        Assert.Equal("mine", File.ReadAllText(file));
        Assert.Equal(127, Cli.Run("run", "--kernel", "k", "--api-socket", "/tmp/" + new string('a', 110)).Code);
        // One that a killed machine left behind is replaced.
        Process killed = Start("--api-socket", stale);
        killed.Kill();
        killed.WaitForExit();
        Assert.True(File.Exists(stale));
        _ = Start("--api-socket", stale);
        Assert.Equal(0, Cli.Run("ctl", stale, "info").Code);
    }

    private Process Start(params string[] args)
    {
        ProcessStartInfo start = new(Cli.Program, ["run", "--kernel", Guests.Path("halt.elf"), "--memory", "4M", "--serial", "none", .. args]) { RedirectStandardError = true };
        Process process = Process.Start(start)!;
        _started.Add(process);
        long deadline = Environment.TickCount64 + 20_000;
        while (!Answers(args[1]) && !process.HasExited && Environment.TickCount64 < deadline) Thread.Sleep(20);
        Assert.False(process.HasExited, process.HasExited ? process.StandardError.ReadToEnd() : "");
        return process;
    }

    private static bool Answers(string path)
    {
        try
        {
            using Socket socket = Connect(path);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    private static JsonNode Ask(string path, string request)
    {
        using Socket socket = Connect(path);
        try
        {
            _ = socket.Send(Encoding.UTF8.GetBytes(request + "\n"));
        }
        catch (SocketException)
        {
            // The server closes in the middle of what is too long, after its answer.
        }
        using StreamReader reader = new(new NetworkStream(socket));
        return JsonNode.Parse(reader.ReadLine()!)!;
    }
}
