using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>What the shell around it sees: codes, signals, descriptors that are closed or few.</summary>
public class ProcessTests
{
    private const int GuestCode = 42;
    private static readonly string OnePage = Guests.Path("onepage"), Hello = Guests.Path("hello"), Halt = Guests.Path("halt"), Triple = Guests.Path("triple");

    [KvmFact]
    public void Guest_s_own_code_and_nothing_else()
    {
        Ran ran = Cli.Run("run", "--kernel", OnePage);
        Assert.Equal((GuestCode, ""), (ran.Code, ran.Error));
    }

    [KvmFact]
    public void Triple_fault_is_123_with_registers_and_a_last_line()
    {
        Ran ran = Cli.Run("run", "--kernel", Triple, "--serial", "none");
        Assert.Equal(123, ran.Code);
        if (!ran.Error.Contains("registers after INIT", StringComparison.Ordinal))
        {
            Assert.Contains("rip 0000000000100007", ran.Error, StringComparison.Ordinal);
            Assert.Matches("=> 0000000000100007  ud2\n.*  nop\n.*  pause\n.*  xchg ecx,eax\n", ran.Error);
        }
        else
        {
            // An AMD processor: they are not shown as the guest's.
            Assert.Contains("rip 000000000000fff0", ran.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("code", ran.Error, StringComparison.Ordinal);
        }
        Assert.StartsWith("microvm: error: the guest crashed: triple fault", ran.Error.TrimEnd('\n').Split('\n')[^1], StringComparison.Ordinal);
    }

    [KvmTheory]
    [InlineData("TERM", 143)]
    [InlineData("INT", 130)]
    [InlineData("HUP", 129)]
    public void Signals_stop_the_guest_and_say_so(string signal, int code)
    {
        // Not the program in the background: there the shell has it ignore SIGINT.
        Ran ran = Cli.Shell("(sleep 1; kill -" + signal + " $$) >/dev/null 2>&1 & exec \"$0\" \"$@\"", "run", "--kernel", Halt, "--serial", "none");
        Assert.Equal((code, $"microvm: stopped by SIG{signal}\n"), (ran.Code, ran.Error));
    }

    [KvmTheory]
    [InlineData("exec \"$0\" \"$@\" <&-")]
    [InlineData("exec \"$0\" \"$@\" >&-")]
    [InlineData("exec \"$0\" \"$@\" <&- >&- 2>&-")]
    [InlineData("exec \"$0\" \"$@\" </")] // cannot be read
    [InlineData("exec \"$0\" \"$@\" </dev/zero")] // never ends
    [InlineData("exec \"$0\" \"$@\" >/dev/full")]
    public void Closed_descriptors_do_not_matter_to_the_guest(string script) =>
        Assert.Equal(GuestCode, Cli.Shell(script, "run", "--kernel", Hello).Code);

    [KvmFact]
    public void Standard_output_that_is_a_closed_pipe_does_not_matter_to_the_guest() =>
        Assert.Equal($"{GuestCode}\n", Cli.Shell("{ sleep 0.2; \"$0\" \"$@\"; echo $? >&2; } | true", "run", "--kernel", Hello).Error);

    [KvmFact]
    public void Reader_that_begins_late_gets_all_of_the_output()
    {
        const string Script = "{ \"$0\" \"$@\"; echo $? >&2; } | (sleep 5; cat)";
        Ran ran = Cli.Shell(Script, "run", "--kernel", Guests.Path("bytes"), "--cmdline", "300000");
        Assert.Equal(($"{GuestCode}\n", 300_000), (ran.Error, ran.Out.Length));
    }

    [KvmFact]
    public void Signal_while_a_reader_is_waited_for_ends_the_wait_with_the_guest_s_code_and_a_note()
    {
        string pipe = Path.Combine(Cli.Scratch, "deaf"), socket = Path.Combine(Cli.Scratch, "deaf.sock");
        // The signal comes when the guest has ended, however slow this machine is.
        string ended = $"until \"$0\" ctl {socket} info --json | grep -q '\"state\":\"ended\"'; do sleep 0.2; done";
        string script = $"mkfifo {pipe}; sleep 60 <{pipe} >/dev/null 2>&1 & sleeper=$!; " +
            $"({ended}; kill -TERM $$; sleep 3; kill $sleeper) >/dev/null 2>&1 & exec \"$0\" \"$@\" >{pipe}";
        Stopwatch time = Stopwatch.StartNew();
        Ran ran = Cli.Shell(script, "run", "--kernel", Guests.Path("bytes"), "--cmdline", "80000", "--api-socket", socket);
        Assert.Equal(GuestCode, ran.Code);
        Assert.Matches(@"^microvm: note: \d+ bytes of the guest's output are lost, ", ran.Error);
        Assert.InRange(time.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(50));
    }

    [KvmFact]
    public void Limit_on_the_size_of_files_costs_output_and_not_the_machine()
    {
        string path = Path.Combine(Cli.Scratch, "limited.log");
        string[] guest = ["--kernel", Guests.Path("bytes"), "--cmdline", "20000", "--serial", $"file={path}"];
        Ran ran = Cli.Shell("exec prlimit --fsize=3000:3000 \"$0\" \"$@\"", ["run", .. guest]);
        Assert.Equal((GuestCode, 3000L), (ran.Code, new FileInfo(path).Length));
        Assert.Matches("^microvm: note: 17000 bytes of the guest's output are lost, ", ran.Error);
    }

    [Fact]
    public void Help_into_a_closed_pipe_is_no_error() =>
        Assert.Equal("0\n", Cli.Shell("{ sleep 0.2; \"$0\" \"$@\"; echo $? >&2; } | true", "run", "--help").Error);

    [Theory]
    [InlineData("--help")]
    [InlineData("run", "--help")]
    [InlineData("doctor", "--json")]
    public void Output_that_cannot_be_written_is_an_error(params string[] args)
    {
        Ran ran = Cli.Shell("exec \"$0\" \"$@\" > /dev/full", args);
        Assert.Equal(125, ran.Code);
        Assert.Contains("cannot write the output, standard output: No space left on device", ran.ErrorLine(),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("console=ttyS0 noapic quiet", "'noapic' on its command line")]
    [InlineData("no-kvmclock console=ttyS0", "'no-kvmclock' on its command line")]
    [InlineData("acpi=off", "'acpi=off' on its command line")]
    [InlineData("console=ttyS0 noapicx -- noapic", null)]
    public void A_command_line_that_silences_the_console_is_warned_of(string line, string? expected)
    {
        Ran ran = Cli.Run("run", "--kernel", "missing", "--cmdline", line);
        Assert.Equal(126, ran.Code);
        Assert.Equal(expected is null ? 1 : 2, ran.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        if (expected is not null) Assert.Contains(
            $"microvm: warning: the guest's console may stay silent, {expected}", ran.Error, StringComparison.Ordinal);
    }

    [KvmFact]
    public void Without_the_right_to_KVM_without_it_and_with_something_else_in_its_place()
    {
        (string Script, string Expected)[] hosts =
        [
            ("exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"", "cannot use KVM, /dev/kvm: Permission denied. Join the group kvm"),
            ("exec unshare -m sh -c 'mount -t tmpfs none /dev && exec \"$0\" \"$@\"' \"$@\"", "cannot use KVM, /dev/kvm: No such file or directory. Load kvm_intel or kvm_amd"),
            ("exec unshare -m sh -c 'mount --bind /dev/null /dev/kvm && exec \"$0\" \"$@\"' \"$@\"", "cannot make a virtual machine, KVM_CREATE_VM"),
        ];
        (string program, string kernel) = Cli.ForAnyUser(OnePage);
        foreach ((string script, string expected) in hosts)
        {
            Ran ran = Cli.Shell(script, program, "run", "--kernel", kernel);
            Assert.Equal(125, ran.Code);
            Assert.Contains(expected, ran.ErrorLine(), StringComparison.Ordinal);
        }
    }

    [KvmFact]
    public void R2_too_few_descriptors_are_an_error_that_says_so()
    {
        string[] disks = ["--disk", $"path={Cli.File("disk.img", new string('\0', 4096))},ro", "--rng", "--console", $"file={Path.Combine(Cli.Scratch, "out")}"];
        for (int limit = 4; limit <= 60; limit += limit < 30 ? 1 : 5)
        {
            Ran ran = Cli.Shell($"ulimit -n {limit}; exec \"$0\" \"$@\"", ["run", "--kernel", OnePage, .. disks]);
            if (ran.Code == GuestCode) continue;
            Assert.True(ran.Code == 125, $"limit {limit}: {ran.Code} {ran.Error}");
            Assert.Contains("ulimit -n", ran.ErrorLine(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_limit_of_address_space_is_named()
    {
        Ran ran = Cli.Shell("ulimit -v 2000000; exec \"$0\" \"$@\"", "run", "--kernel", OnePage, "--memory", "4G");
        Assert.Equal(125, ran.Code);
        Assert.Contains("Raise the limit of this process's address space, now 1953 MiB (ulimit -v).", ran.ErrorLine(),
            StringComparison.Ordinal);
    }

    [KvmFact]
    public void Timeline_is_json_in_order()
    {
        string path = Path.Combine(Cli.Scratch, "timeline.json");
        Assert.Equal(GuestCode, Cli.Run("run", "--kernel", OnePage, "--timeline", path).Code);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(path));
        decimal before = -1;
        foreach (JsonElement mark in json.RootElement.GetProperty("marks").EnumerateArray())
        {
            Assert.True(mark.GetProperty("at").GetDecimal() >= before);
            before = mark.GetProperty("at").GetDecimal();
        }
        Assert.True(before > 0);
    }

    [KvmFact]
    public void Trace_names_registers()
    {
        Ran ran = Cli.Run("run", "--kernel", Hello, "--trace", "all");
        Assert.Equal(GuestCode, ran.Code);
        Assert.Contains("uart16550[0].TransmitHolding <- 0x", ran.Error, StringComparison.Ordinal);
        Assert.Contains("exit-port[0].Code <- 0x2a", ran.Error, StringComparison.Ordinal);
    }

    [KvmFact]
    public void Unknown_trace_category_names_the_known_ones()
    {
        Ran ran = Cli.Run("run", "--kernel", Hello, "--trace", "usb");
        Assert.Equal(127, ran.Code);
        Assert.Contains("virtio-mmio", ran.ErrorLine(), StringComparison.Ordinal);
    }

    [Fact]
    public void Doctor_s_json_has_the_documented_names()
    {
        Ran ran = Cli.Run("doctor", "--json");
        using JsonDocument json = JsonDocument.Parse(ran.Out);
        JsonElement root = json.RootElement;
        Assert.Equal(1, root.GetProperty("version").GetInt32());
        Assert.Equal(ran.Code == 0, root.GetProperty("kvmUsable").GetBoolean());
        Assert.True(!root.GetProperty("stockGuests").GetBoolean() || root.GetProperty("kvmUsable").GetBoolean());
        string documentation = Repository.Text("docs/doctor.md");
        foreach (JsonElement probe in root.GetProperty("probes").EnumerateArray())
        {
            Assert.Contains($"`{probe.GetProperty("name").GetString()}`", documentation, StringComparison.Ordinal);
            Assert.Contains(probe.GetProperty("status").GetString(), new[] { "ok", "warn", "missing", "not-asked" });
            if (probe.GetProperty("status").GetString() is "warn" or "missing")
                Assert.NotEmpty(probe.GetProperty("advice").GetString()!);
        }
    }

    [Fact]
    public void Doctor_s_table_is_for_people()
    {
        Ran ran = Cli.Run("doctor");
        Assert.Contains("Stock guests: ", ran.Out, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', ran.Out);
    }
}
