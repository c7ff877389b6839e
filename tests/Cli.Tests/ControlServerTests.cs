using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using MicroVm.Cli.Arguments;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Virtio;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>Row A1: whatever clients of the control socket do, each gets an error of one line, others are answered
/// meanwhile, and nothing of it stays.</summary>
public sealed class ControlServerTests : IDisposable
{
    private const int MaxRequest = 1 << 16, MaxConnections = 16, Deep = 10_000;
    private const long GiB = 1L << 30, MiB = 1L << 20;

    private readonly ControlTarget _target = new();
    private readonly ControlClient _other;

    public ControlServerTests()
    {
        _other = _target.Connect();
        _other.Works(); // and has its thread and its descriptor in the server
    }

    public void Dispose()
    {
        _other.Dispose();
        _target.Dispose();
    }

    public static TheoryData<string> NoRequests =>
    [
        "", " ", "{", "}", "null", "true", "[]", "7", "\"info\"", "{}", "{}{}", "info", "GET / HTTP/1.1",
        "\u00ff\u0000", "\0", "\ufeff{\"command\":\"info\"}",
        """{"command":1}""", """{"command":null}""", """{"command":{}}""", """{"command":["info"]}""",
        """{"command":"info"}x""", """{"command":"info"},""", """{"command":"info",}""", """{"arguments":[]}""",
        """{"command":"info","x":1}""", """{"x":{"command":"info"},"command":"info"}""", """{"Command":"info"}""",
        """{"command":"info","argument":[]}""", """{"command":"info","arguments":null}""",
        """{"command":"info","arguments":[null]}""", """{"command":"info","arguments":[["a"]]}""",
        """{"command":"info","arguments":"a"}""", """{"command":"info","arguments":["a"]}""",
        """{"command":"info","arguments":{"0":"a"}}""",
        """{"command":"no such"}""", """{"command":""}""", """{"command":"info\u0000"}""", """{"command":"INFO"}""",
        // JSON by its form, and no text.
        """{"command":"\ud800"}""", """{"command":"\udc00\ud800"}""", """{"\ud800":"info"}""",
        """{"command":"info","arguments":["\ud800"]}""",
        // Twice: who knows which one was meant?
        """{"command":"info","command":"list"}""", """{"command":"list","arguments":[],"arguments":["a"]}""",
        // Numbers too large for any type, as JSON and as words.
        """{"command":99999999999999999999999999}""", """{"command":1e999}""", Words("resize", 18446744073709551616d),
        Words("resize", "--cpus", "99999999999999999999"), Words("resize", "--cpus", "-1"),
        Words("resize", "--cpus", "2147483648"), Words("resize", "--balloon", "18446744073709551616K"),
        Words("resize", "--virtio-mem", "18446744073709551615T"), Words("resize", "data", "99999999999999999999G"),
        Words("add", "--memory", "16777216T"), Words("add", "--memory", "18446744073709551615"),
        Words("add", "--disk", "path=a,queues=4294967297"), Words("add", "--rng", "--wait", "99999999999999999999"),
        Words("remove", "a", "--wait", "4294967296.5"), Words("remove", "a", "--wait", "1e9"),
        Words("explain", "gpa", "0x1ffffffffffffffff"), Words("explain", "gpa", "99999999999999999999"),
        Words("explain", "gva", "0", "2147483648"), Words("explain", "gva", "0", "2147483647"),
        // Words that are missing, too many, or in an order that makes no sense.
        Words("add"), Words("add", "--wait"), Words("add", "--disk"), Words("add", "--rng", "--rng", "--rng"),
        Words("add", "--help"), Words("remove"), Words("remove", "none"), Words("remove", "--force", "none"),
        Words("remove", "a", "b"), Words("resize"), Words("resize", "none"), Words("resize", "--help"),
        Words("explain", "gva"), Words("explain", "aml", "1"),
        Words("add", "--disk", "path=/etc/hostname\0.img"), Words("add", "--memory", "128M,id=a\0b"),
        Words("remove", "\0"), Words("resize", "\0", "1G"), Words("info\0"), Words("\ninfo\r"), Words("remove", "a\nb"),
        Words("add", new string('-', 60_000)), Words("remove", new string('\t', 10_000)),
    ];

    private static string Words(string command, params object[] words) =>
        JsonSerializer.Serialize(new { command, arguments = words });

    [Theory]
    [MemberData(nameof(NoRequests))]
    public void A1_what_is_no_request_is_refused_with_a_line_that_says_what_to_do(string request)
    {
        using ControlClient client = _target.Connect();
        // The second time on the same connection: nothing of the first is left.
        for (int i = 0; i < 2; i++) Refused(client.Ask(request), request);
        client.Works();
        Others();
    }

    [Fact]
    public void A1_bytes_that_are_no_text_are_refused()
    {
        using ControlClient client = _target.Connect();
        byte[][] all = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80]];
        foreach (byte[] bytes in all)
        {
            Refused(client.Ask(bytes), "bare");
            Refused(client.Ask([.. "{\"command\":\""u8, .. bytes, .. "\"}"u8]), "command");
            Refused(client.Ask([.. "{\""u8, .. bytes, .. "\":1}"u8]), "name");
            Refused(client.Ask([.. "{\"command\":\"remove\",\"arguments\":[\""u8, .. bytes, .. "\"]}"u8]), "word");
        }
        client.Works();
        Others();
    }

    [Theory]
    [InlineData("[", "]")]
    [InlineData("{\"a\":", "}")]
    [InlineData("[{\"command\":", "}]")]
    [InlineData("[", "")] // without an end
    public void A1_depth_costs_nothing(string open, string close)
    {
        int deep = Math.Min(Deep, (MaxRequest - 100) / (open.Length + close.Length));
        string nested = $"{Repeat(open)}1{Repeat(close)}";
        string[] requests =
        [
            nested, $$"""{"command":{{nested}}}""", $$"""{"command":"info","arguments":{{nested}}}""",
            $$"""{"command":"info","arguments":["a",{{nested}}]}""", $$"""{"x":{{nested}}}""",
        ];
        using ControlClient client = _target.Connect();
        foreach (string request in requests) Refused(client.Ask(request), open);
        client.Works();
        Others();

        string Repeat(string text) => string.Concat(Enumerable.Repeat(text, deep));
    }

    // All of it is sent for as long as the server takes it, on one connection after the other.
    [Fact]
    public void A1_a_gibibyte_without_a_line_feed_is_not_kept()
    {
        byte[] block = new byte[256 << 10];
        Array.Fill(block, (byte)'x');
        Body(block, 4 * MiB); // what the runtime makes once
        File.WriteAllText("/proc/self/clear_refs", "5"); // the peak begins anew
        long before = Peak(), allocated = GC.GetTotalAllocatedBytes(precise: true);
        long connections = Body(block, GiB);
        Assert.InRange(Peak(), 0, before + 64 * MiB);
        Assert.InRange((GC.GetTotalAllocatedBytes(precise: true) - allocated) / connections, 0, 4 * MaxRequest);
        Others();
    }

    // How many connections it took. Each is refused, and takes no more.
    private long Body(byte[] block, long bytes)
    {
        long connections = 0;
        for (long sent = 0; sent < bytes; sent += block.Length, connections++)
        {
            using ControlClient client = _target.Connect();
            if (connections % 64 == 0) _other.Works();
            // What fits into the socket behind the request is not read.
            bool open = client.Send(block);
            RefusedWith($"more than {MaxRequest} bytes", client);
            Assert.Null(client.ReadLine());
            Assert.False(open && client.Send(block));
        }
        return connections;
    }

    [Fact]
    public void A1_of_a_thousand_connections_at_once_those_too_many_are_refused_and_one_that_is_there_is_answered()
    {
        int descriptors = Descriptors();
        List<ControlClient> clients = [];
        for (int i = 0; i < 1000; i++)
        {
            clients.Add(_target.Connect());
            if (i % 10 == 0) _other.Works();
        }
        // This one and fifteen of them are served.
        ControlClient[] served = [.. clients[..(MaxConnections - 1)]], refused = [.. clients[(MaxConnections - 1)..]];
        foreach (ControlClient client in refused)
        {
            RefusedWith("too many connections", client, code: 125);
            Assert.Null(client.ReadLine());
        }
        foreach (ControlClient client in served) client.Works();
        clients.ForEach(static c => c.Dispose());
        Others();
        NoMoreDescriptors(descriptors);
        Assert.True(SpinWait.SpinUntil(() => Threads("control-client") <= 1, 10_000), "a thread stays without a client");
    }

    // One test for all that takes the time that a request may take.
    [Fact]
    public void A1_bytes_one_by_one_are_a_request_if_they_end_in_time_and_are_refused_if_not()
    {
        const int Slow = 8;
        List<ControlClient> slow = [.. Enumerable.Range(0, Slow).Select(_ => _target.Connect())];
        using ControlClient silent = _target.Connect();
        byte[] request = Encoding.UTF8.GetBytes("""{"command":"info"}""" + "\n");
        using (ControlClient patient = _target.Connect())
        {
            foreach (byte one in request)
            {
                Assert.True(patient.Send([one]));
                foreach (ControlClient client in slow) Assert.True(client.Send("x"u8));
                _other.Works();
            }
            Assert.True(JsonNode.Parse(patient.ReadLine()!)!["ok"]!.GetValue<bool>());
        }
        // They go on until they are told; another is answered all the while.
        string?[] answers = new string?[Slow];
        Thread[] readers = [.. slow.Select((client, i) => new Thread(() => answers[i] = client.ReadLine()))];
        Thread[] senders = [.. slow.Select(static client => new Thread(() =>
        {
            while (client.Send("x"u8)) Thread.Sleep(20);
        }))];
        foreach (Thread thread in (Thread[])[.. readers, .. senders]) thread.Start();
        while (!Array.TrueForAll(readers, static r => r.Join(20))) _other.Works();
        foreach (string? answer in answers) Assert.Contains("in 10 seconds", Refused(JsonNode.Parse(answer!)!, "slow"));
        foreach (Thread sender in senders) Assert.True(sender.Join(10_000), "the connection is still open");
        // One that said nothing is not told anything either.
        Assert.Null(silent.ReadLine());
        slow.ForEach(static c => c.Dispose());
        Others();
    }

    [Fact]
    public void A1_requests_with_bytes_changed_at_random_are_answered_each()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        string[] good =
        [
            """{"command":"info"}""", """{"command":"list","arguments":[]}""", """{"command":"balloon"}""",
            Words("memory"), Words("remove", "a", "--wait", "0.5"), Words("resize", "--balloon", "1G"),
            Words("add", "--disk", "path=none,queues=2,bps=10M", "--wait", "1"), Words("explain", "gpa", "0x1000"),
        ];
        using ControlClient client = _target.Connect();
        for (int i = 0; i < 20_000; i++)
        {
            byte[] request = Encoding.UTF8.GetBytes(good[random.Next(good.Length)]);
            for (int n = random.Next(4); n > 0; n--) request[random.Next(request.Length)] = (byte)random.Next(256);
            if (random.Next(8) == 0) request = request[..random.Next(request.Length)];
            foreach (ref byte one in request.AsSpan()) if (one == '\n') one = (byte)' ';
            if (i % 1000 == 0) _other.Works();
            JsonNode answer = client.Ask(request);
            if (answer["ok"]!.GetValue<bool>()) continue;
            Refused(answer, $"seed {seed}, request {i}: {Encoding.Latin1.GetString(request)}");
        }
        Others();
    }

    [Fact]
    public void A1_connections_that_break_off_anywhere_leave_nothing()
    {
        int descriptors = Descriptors();
        byte[] request = Encoding.UTF8.GetBytes("""{"command":"list"}""" + "\n");
        for (int i = 0; i < 2000; i++)
        {
            // It is gone before the others are waited for: one that says nothing is kept for ten seconds.
            using (ControlClient client = _target.Connect())
            {
                Assert.True(client.Send(request.AsSpan(0, i % (request.Length + 1))));
            }
            if (i % 8 == 7) AllAreServed();
        }
        AllAreServed();
        Others();
        NoMoreDescriptors(descriptors);
    }

    [Fact]
    public void A1_an_end_that_is_asked_for_twice_comes_once_and_the_clients_are_told()
    {
        using ControlClient client = _target.Connect();
        Assert.False(_target.Stopped);
        foreach (string command in new[] { "stop", "stop", "power-button", "info", "list", "stop" })
        {
            Assert.True(client.Ask(Words(command))["ok"]!.GetValue<bool>(), command);
        }
        Assert.True(_target.Stopped);
        Assert.Contains("the guest does not run", Refused(client.Ask(Words("add", "--rng")), "add"));
    }

    // C ends a text at a zero byte: what stands before it must not be opened in its place.
    [Theory]
    [InlineData("disk", "path=F\0x")]
    [InlineData("disk", "path=F\0x,ro")]
    [InlineData("disk", "vhost-user=F\0x")]
    [InlineData("pmem", "path=F\0x")]
    [InlineData("vsock", "cid=5,socket=F\0x")]
    [InlineData("net", "socket=F\0x")]
    [InlineData("net", "vhost-user=F\0x")]
    [InlineData("net", "tap=lo\0x")]
    [InlineData("fs", "tag=t,socket=F\0x")]
    public void A1_a_zero_byte_does_not_end_a_path(string option, string value)
    {
        string file = Path.Combine(Cli.Scratch, "zero");
        using (FileStream stream = File.Create(file)) stream.SetLength(4 << 20);
        RunSettings settings = new();
        Option<RunSettings> which = ArgumentParser.Find(RunOptions.All, option)!;
        using EventLoop loop = new("test", ThreadOwner.Process);
        VirtioFactory factory = new(new Lazy<EventLoop>(loop), new OutputPump(-1, "none"), new HostNotes(null), 1,
            ThreadOwner.Process);
        MicroVmException e = Assert.ThrowsAny<MicroVmException>(() =>
        {
            string text = value.Replace("F", file, StringComparison.Ordinal);
            which.Set(settings, new OptionValue(text, $"--{option} {text}"));
            factory.Make(Assert.Single(settings.Virtio)).Dispose();
        });
        // It is that path which is refused, and not what the text before the zero byte leads to.
        Assert.Contains("\0x", e.Message, StringComparison.Ordinal);
    }

    // The server takes connections in their order: those before this one are taken, and their threads end by and by.
    // A host that is slow would have more than MaxConnections of them at once.
    private void AllAreServed()
    {
        using (ControlClient last = _target.Connect()) last.Works();
        Assert.True(SpinWait.SpinUntil(static () => Threads("control-client") <= 1, 30_000), "threads stay");
        // It would be closed if it said nothing for as long as this takes.
        _other.Works();
    }

    private void Others()
    {
        _other.Works();
        using ControlClient fresh = _target.Connect();
        fresh.Works();
        Assert.False(_target.Stopped);
    }

    private static string Refused(JsonNode answer, string what, int code = 127)
    {
        Assert.False(answer["ok"]!.GetValue<bool>(), what);
        string error = answer["error"]!.GetValue<string>();
        Assert.Matches(@"^[^\p{Cc}]+, [^\p{Cc}]+\. [^\p{Cc}]+[.?]$", error);
        Assert.DoesNotContain("a bug in microvm", error, StringComparison.Ordinal);
        Assert.True(code == answer["code"]!.GetValue<int>(), $"{what}: {answer}");
        // Whatever it was, not much of it comes back.
        Assert.InRange(error.Length, 1, 3000);
        return error;
    }

    private static void RefusedWith(string words, ControlClient client, int code = 127) =>
        Assert.Contains(words, Refused(JsonNode.Parse(client.ReadLine()!)!, words, code), StringComparison.Ordinal);

    private static void NoMoreDescriptors(int than) =>
        Assert.True(SpinWait.SpinUntil(() => Descriptors() <= than, 10_000), $"{Descriptors()}, before {than}");

    private static int Descriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    private static int Threads(string name) =>
        Directory.GetDirectories("/proc/self/task").Count(t => Name(t) == name);

    private static string Name(string task)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm")).TrimEnd('\n');
        }
        catch (IOException)
        {
            return ""; // it has just ended
        }
    }

    private static long Peak()
    {
        string line = File.ReadLines("/proc/self/status").Single(static l => l.StartsWith("VmHWM:"));
        string kibibytes = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        return long.Parse(kibibytes, CultureInfo.InvariantCulture) << 10;
    }
}
