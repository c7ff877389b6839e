using System.Diagnostics;
using System.Text.Json.Nodes;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>The terminal is raw while the guest runs, and as it was found after every end.</summary>
public sealed class TerminalTests : IDisposable
{
    private const string Quit = "\u0001x"; // Ctrl-A x

    private readonly Pty _pty = new();

    public void Dispose() => _pty.Dispose();

    // Guests of power.S end half a second after their start, with a byte to a port.
    [KvmTheory]
    [InlineData("power", 0x60034, 0)] // power-off
    [InlineData("power", 0x60201, 0)] // reset
    [InlineData("power", 0x50501, 123)] // panic
    [InlineData("power", 0xf407, 7)] // exit port
    public void It_is_as_it_was_when_the_guest_ends(string guest, int end, int code)
    {
        using Process process = Run(guest, "--cmdline", $"{end}");
        _pty.Await(raw: true, process);
        Ended(process, code);
    }

    [KvmTheory]
    [InlineData("onepage", 42)]
    [InlineData("triple", 123)]
    [InlineData("fetch", 123)]
    public void It_is_as_it_was_when_the_guest_ends_at_once(string guest, int code) => Ended(Run(guest), code);

    [KvmTheory]
    [InlineData("TERM", 143)]
    [InlineData("INT", 130)]
    [InlineData("HUP", 129)]
    [InlineData("QUIT", 131)]
    public void It_is_as_it_was_after_a_signal(string signal, int code)
    {
        using Process process = Run("halt");
        _pty.Await(raw: true, process);
        Kill(process, signal);
        Ended(process, code, $"microvm: stopped by SIG{signal}\n");
    }

    [KvmFact]
    public void It_is_as_it_was_after_signals_at_any_moment()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int i = 0; i < 30; i++)
        {
            using Process process = Run("loop");
            Thread.Sleep(TimeSpan.FromMilliseconds(random.NextDouble() * 20));
            Kill(process, ((string[])["TERM", "HUP", "INT", "QUIT"])[i % 4]);
            Assert.True(process.WaitForExit(10_000), $"seed {seed}, signal {i}: it runs on");
            Assert.True(_pty.Found.AsSpan().SequenceEqual(_pty.State()), $"seed {seed}, signal {i}: {process.StandardError.ReadToEnd()}");
        }
    }

    // The second one kills only when the first has set the terminal back.
    [KvmFact]
    public void It_is_as_it_was_after_two_signals_of_a_kind_at_once()
    {
        for (int i = 0; i < 30; i++)
        {
            using Process process = Run("loop");
            _pty.Await(raw: true, process);
            Assert.Equal(0, Cli.Shell($"kill -TERM {process.Id}; kill -TERM {process.Id}; true").Code);
            Ended(process, 143);
        }
    }

    [KvmFact]
    public void It_is_as_it_was_after_the_key_for_the_end_and_other_keys_are_the_guest_s()
    {
        using Process process = Run("halt");
        _pty.Await(raw: true, process);
        _pty.Type("\u0003\u0005\u001a\u001c\u0004\u0001h"); // Ctrl-C, the interrupt key of this terminal, Ctrl-Z, Ctrl-\, Ctrl-D, help
        // The last of them prints this; had one before been a signal, that one would be named below.
        const string Help = "microvm: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h prints this";
        Assert.Equal(Help, process.StandardError.ReadLine());
        _pty.Type(Quit);
        Ended(process, 130, "microvm: stopped by Ctrl-A x\n");
    }

    [KvmFact]
    public void It_is_as_it_was_after_a_stop_over_the_control_socket()
    {
        string socket = Path.Combine(Cli.Scratch, "terminal.sock");
        using Process process = Run("halt", "--api-socket", socket);
        _pty.Await(raw: true, process);
        Assert.Equal(0, Cli.Run("ctl", socket, "stop").Code);
        Ended(process, 125, "microvm: stopped over the control socket\n");
    }

    // A machine of 8 vCPUs and a serial port, by a user who may have so few threads that its start fails in the middle.
    [KvmFact]
    public void R3_it_is_as_it_was_when_the_host_gives_no_thread_and_that_is_an_error_that_says_so()
    {
        (string program, string kernel) = Cli.ForAnyUser(Guests.Path("onepage"));
        int failures = 0;
        for (int threads = 2; threads <= 12; threads++)
        {
            // The limit holds for nobody who is root, and /dev/kvm is root's. With one vCPU it is KVM that gets no thread, where it wants one.
            using Process process = _pty.Start($"setpriv --reuid 61234 --regid 61234 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override prlimit --nproc={threads}",
                program, "run", "--kernel", kernel, "--memory", "4M", "--cpus", threads < 5 ? "1" : "8");
            Assert.True(process.WaitForExit(20_000), "it does not end");
            string error = process.StandardError.ReadToEnd();
            Assert.Equal(_pty.Found, _pty.State());
            if (process.ExitCode == 42) continue;
            failures++;
            Assert.True(process.ExitCode == 125, $"{threads} threads: {process.ExitCode} {error}");
            Assert.Contains("ulimit -u", new Ran(125, "", error).ErrorLine(), StringComparison.Ordinal);
        }
        Assert.InRange(failures, 4, 10); // and it runs with the most of them
    }

    [KvmFact]
    public void It_is_raw_again_after_the_process_was_stopped_and_goes_on()
    {
        using Process process = Run("halt");
        _pty.Await(raw: true, process);
        byte[] raw = _pty.State();
        Kill(process, "STOP");
        _pty.Stty("sane"); // as a shell does
        Kill(process, "CONT");
        long start = Stopwatch.GetTimestamp();
        while (!_pty.State().AsSpan().SequenceEqual(raw) && Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(10)) Thread.Sleep(2);
        Assert.Equal(raw, _pty.State());
        _pty.Type(Quit);
        Ended(process, 130);
    }

    [KvmTheory]
    [InlineData("--serial", "none")]
    [InlineData("--serial", "file=/dev/null")]
    public void It_is_left_alone_where_the_guest_has_no_keys(string flag, string value)
    {
        string socket = Path.Combine(Cli.Scratch, "alone.sock");
        using Process process = Run("pio", flag, value, "--cmdline", "2000000000", "--api-socket", socket);
        // The guest runs, and whoever wanted the terminal raw has made it so before.
        Assert.True(SpinWait.SpinUntil(() => process.HasExited || Exits(socket) > 0, 20_000), "the guest does not run");
        Assert.False(process.HasExited);
        Assert.Equal(_pty.Found, _pty.State());
        Kill(process, "TERM");
        Ended(process, 143);
    }

    private static long Exits(string socket)
    {
        Ran info = Cli.Run("ctl", socket, "info", "--json");
        return info.Code == 0 ? JsonNode.Parse(info.Out)!["exits"]!.GetValue<long>() : 0;
    }

    private Process Run(string guest, params string[] more) => _pty.Start("", Cli.Program, ["run", "--kernel", Guests.Path(guest), "--memory", "4M", .. more]);

    private void Ended(Process process, int code, string? error = null)
    {
        Assert.True(process.WaitForExit(20_000), "it does not end");
        string said = process.StandardError.ReadToEnd();
        Assert.True(process.ExitCode == code, $"{process.ExitCode}: {said}");
        Assert.Equal(_pty.Found, _pty.State());
        if (error is not null) Assert.Equal(error, said);
    }

    private static void Kill(Process process, string signal) => Assert.Equal(0, Cli.Shell($"kill -{signal} {process.Id}").Code);
}
