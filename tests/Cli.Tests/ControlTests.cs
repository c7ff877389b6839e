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
        Assert.Matches($"(?m)^data +virtio-block +01:00\\.0 +{disk} +- +virtio-block$",
            Cli.Run("ctl", socket, "list").Out);
        Assert.Equal("data", JsonNode.Parse(Cli.Run("ctl", socket, "list", "--json").Out)![2]!["id"]!.GetValue<string>());
        Assert.Equal(4 << 20, JsonNode.Parse(Cli.Run("ctl", socket, "info", "--json").Out)!["memoryBytes"]!.GetValue<int>());
        Assert.StartsWith("TRANSLATION\n", Cli.Run("ctl", socket, "explain", "gpa", "0x100000").Out, StringComparison.Ordinal);
        Assert.Equal(Cli.Run("explain", socket, "--gpa", "0x100000").Out, Cli.Run("ctl", socket, "explain", "gpa", "0x100000").Out);
        Assert.Equal(new Ran(0, "", ""), Cli.Run("ctl", socket, "power-button"));
        Assert.Equal(new Ran(0, "", ""), Cli.Run("ctl", socket, "stop"));
        Assert.True(machine.WaitForExit(10_000));
        Assert.Equal((125, "microvm: stopped over the control socket\n"), (machine.ExitCode, machine.StandardError.ReadToEnd()));
        Assert.False(File.Exists(socket));
    }

    [KvmTheory]
    [InlineData(null, "stopped over the control socket", 125)]
    [InlineData("TERM", "stopped by SIGTERM", 143)]
    [InlineData("INT", "stopped by SIGINT", 130)]
    public void Who_waits_hears_how_the_machine_ended(string? signal, string description, int code)
    {
        string socket = Path.Combine(_folder, "s");
        Process machine = Start("--api-socket", socket);
        using Process wait = Process.Start(new ProcessStartInfo(Cli.Program, ["ctl", socket, "wait", "--json"])
        {
            RedirectStandardOutput = true,
        })!;
        // Others are answered meanwhile.
        Assert.Equal(0, Cli.Run("ctl", socket, "info").Code);
        Assert.False(wait.HasExited);
        if (signal is null) Assert.Equal(0, Cli.Run("ctl", socket, "stop").Code);
        else Assert.Equal(0, Cli.Shell($"kill -{signal} {machine.Id}").Code);
        Assert.True(machine.WaitForExit(10_000));
        Assert.True(wait.WaitForExit(10_000));
        string answer = $$"""{"reason":"stopped","exitCode":{{code}},"description":"{{description}}"}""";
        Assert.Equal(answer, wait.StandardOutput.ReadToEnd().TrimEnd());
        Assert.Equal((0, code), (wait.ExitCode, machine.ExitCode));
    }

    [KvmFact]
    public void A_dimm_that_the_guest_does_not_answer_for_stays_and_is_listed()
    {
        string socket = Path.Combine(_folder, "s");
        _ = Start("--api-socket", socket, "--max-memory", "1G");
        Assert.Matches("^microvm: error: the guest has not answered, dimm0: 0.2 s\\. It stays plugged in", Cli.Run("ctl", socket, "add", "--memory", "256M", "--wait", "0.2").ErrorLine());
        Assert.Matches("^microvm: error: the guest has not answered, data: 0.2 s\\.", Cli.Run("ctl", socket, "add", "--memory=128M,id=data", "--wait", "0.2").ErrorLine());
        Assert.Equal(
            "id     kind       place        host  backend  thread\ndimm0  dimm 256M  0x100000000  -     -        -\ndata   dimm 128M  0x140000000  -     -        -\n", Cli.Run("ctl", socket, "list").Out);
        Assert.Equal(384 << 20, JsonNode.Parse(Cli.Run("ctl", socket, "memory", "--json").Out)!["dimmBytes"]!.GetValue<int>());
        foreach ((string error, string[] words) in new (string, string[])[]
        {
            ("two devices have one name, id=data.", ["add", "--memory", "128M,id=data"]),
                ("--memory is given twice, --memory 2G.", ["add", "--memory", "1G", "--memory", "2G"]),
            ("add takes one device, 2 were given.", ["add", "--rng", "--memory", "128M"]), ("the machine cannot have that much memory, 1024 MiB more. Give at most 512M,", ["add", "--memory", "1G"]),
            ("unknown part 'size' of a DIMM", ["add", "--memory", "size=1G"]), ("there is no such device in a PCI slot, dimm1.", ["remove", "dimm1"]),
            ("memory is not pulled: the guest would lose what lies in it, 0x140000000.", ["remove", "0x140000000", "--force"]), ("nothing can be plugged in or out, the machine has no root ports.", ["add", "--rng"]),
        })
        {
            Ran ran = Cli.Run(["ctl", socket, .. words]);
            Assert.Contains(error, ran.ErrorLine(), StringComparison.Ordinal);
            Assert.Equal(127, ran.Code);
        }
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
    public void A1_whatever_a_client_sends_is_answered_with_an_error_and_the_machine_runs_on()
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
    public void A1_silent_clients_and_ones_that_never_read_hold_up_nobody()
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

    // A disk of eight queues takes nine descriptors, and stays in its slot, as this guest does not answer.
    [KvmFact]
    public void R2_devices_are_added_until_no_descriptor_is_left_and_the_machine_runs_on()
    {
        string socket = At("s"), disk = At("disk");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        int limit = 16;
        while (StartLimited(limit, socket) is null) Assert.InRange(limit += 16, 16, 512);
        Assert.Equal(0, Cli.Run("ctl", socket, "stop").Code);
        Assert.True(_started[^1].WaitForExit(10_000));
        Process machine = StartLimited(limit + 32, socket)!; // enough left for the control socket
        int added = 0;
        Ran ran = Add(added);
        while (ran.Error.Contains("the guest has not answered", StringComparison.Ordinal) && added < 16)
            ran = Add(++added);
        Assert.InRange(added, 0, 15);
        Assert.Equal(125, ran.Code);
        Assert.Contains("ulimit -n", ran.ErrorLine(), StringComparison.Ordinal);
        JsonArray devices = JsonNode.Parse(Cli.Run("ctl", socket, "list", "--json").Out)!.AsArray();
        Assert.Equal(added, devices.Count(static d => d!["kind"]!.GetValue<string>() == "virtio-block"));
        Assert.Equal(0, Cli.Run("ctl", socket, "stop").Code);
        Assert.True(machine.WaitForExit(10_000));
        Assert.Equal((125, "microvm: stopped over the control socket\n"), (machine.ExitCode, machine.StandardError.ReadToEnd()));

        Ran Add(int n) => Cli.Run("ctl", socket, "add", "--disk", $"path={disk},ro,queues=8,id=d{n}", "--wait", "0.1");
    }

    // Null where there are too few descriptors to start.
    private Process? StartLimited(int limit, string socket)
    {
        string[] args =
        [
            "-c", $"ulimit -n {limit}; exec \"$0\" \"$@\"", Cli.Program, "run", "--kernel", Guests.Path("halt"),
            "--memory", "4M", "--serial", "none", "--pci-ports", "16", "--api-socket", socket,
        ];
        Process process = Process.Start(new ProcessStartInfo("/bin/sh", args) { RedirectStandardError = true })!;
        _started.Add(process);
        Assert.True(SpinWait.SpinUntil(() => process.HasExited || Answers(socket), 20_000));
        if (!process.HasExited) return process;
        Ran ran = new(process.ExitCode, "", process.StandardError.ReadToEnd());
        Assert.Contains("ulimit -n", ran.ErrorLine(), StringComparison.Ordinal);
        Assert.Equal(125, ran.Code);
        return null;
    }

    [KvmFact]
    public void A2_a_path_that_is_taken_is_refused_and_left_alone()
    {
        string file = At("file"), folder = Directory.CreateDirectory(At("folder")).FullName, socket = At("s"), stale = At("stale"), others = At("others");
        File.WriteAllText(file, "mine");
        LeaveStale(stale);
        LeaveStale(others);
        Assert.Equal(0, Cli.Shell("chown 65534 \"$1\"", others).Code);
        string[] links = [.. new[] { At("nowhere"), file, stale, socket }.Select((target, i) => File.CreateSymbolicLink(At($"link{i}"), target).FullName)];
        _ = Start("--api-socket", socket);
        string[] taken = [file, folder, socket, others, .. links];
        string before = Listing();
        foreach (string path in taken)
        {
            string error = Refused(125, path);
            Assert.Contains("cannot make the control socket", error, StringComparison.Ordinal);
            Assert.Contains("use another path, or remove it", error, StringComparison.Ordinal);
        }
        Assert.Equal(before, Listing());
        Assert.Equal("mine", File.ReadAllText(file));
        Assert.Equal(0, Cli.Run("ctl", socket, "info").Code);
    }

    [KvmFact]
    public void A2_a_socket_that_a_killed_machine_left_behind_is_replaced()
    {
        string stale = At("stale");
        LeaveStale(stale);
        _ = Start("--api-socket", stale);
        Assert.Equal(0, Cli.Run("ctl", stale, "info").Code);
    }

    [KvmFact]
    public void A2_a_path_has_at_most_107_bytes_whatever_its_characters()
    {
        string longest = At(new string('a', 105 - Encoding.UTF8.GetByteCount(_folder) - 1) + "\u00e9"), longer = longest + "b";
        Assert.Equal(107, Encoding.UTF8.GetByteCount(longest));
        _ = Start("--api-socket", longest);
        Assert.Equal(0, Cli.Run("ctl", longest, "info").Code);
        Assert.Contains("at most 107 bytes", Refused(127, longer), StringComparison.Ordinal);
        // Nor is it cut to what fits, and another socket found there.
        Assert.Equal(127, Cli.Run("ctl", longer, "info").Code);
        Ran ran = Cli.Run("run", "--kernel", Guests.Path("halt"), "--memory", "4M", "--serial", "none", "--net", $"socket={longer}");
        Assert.Equal(125, ran.Code);
        Assert.Contains("of at most 107 bytes", ran.ErrorLine(), StringComparison.Ordinal);
    }

    [KvmFact]
    public void A2_a_folder_that_is_not_there_or_cannot_be_written_is_said_to_be_it()
    {
        string file = At("file");
        File.WriteAllText(file, "");
        foreach (string path in new[] { At("none/s"), file + "/s", "/proc/s" }) Assert.Contains("Check the folder and its permissions", Refused(125, path), StringComparison.Ordinal);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static string Refused(int code, string path)
    {
        Ran ran = Cli.Run("run", "--kernel", Guests.Path("halt"), "--memory", "4M", "--serial", "none", "--api-socket", path);
        Assert.Equal(code, ran.Code);
        return ran.ErrorLine();
    }

    private void LeaveStale(string path)
    {
        Process killed = Start("--api-socket", path);
        killed.Kill();
        killed.WaitForExit();
        Assert.True(File.Exists(path));
    }

    private string Listing() => Cli.Shell("ls -lin \"$1\"", _folder).Out;

    private Process Start(params string[] args)
    {
        ProcessStartInfo start = new(Cli.Program, ["run", "--kernel", Guests.Path("halt"), "--memory", "4M", "--serial", "none", .. args]) { RedirectStandardError = true };
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
