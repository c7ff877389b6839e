using System.Diagnostics;
using System.Text.Json.Nodes;
using MicroVm.Diagnostics;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>The list of machines, of a folder of the test's own where it can be.</summary>
public sealed class PsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-ps-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void No_machine_is_an_empty_table()
    {
        Assert.Equal("name  pid  state  uptime  cpus  memory\n", PsCommand.Table(PsCommand.Machines(_folder)));
        Assert.Empty(PsCommand.Machines(_folder + "/none"));
    }

    [Fact]
    public void Machines_are_asked_and_dead_sockets_are_named_and_left()
    {
        string dead = Socket("db");
        using ControlTarget machine = new();
        File.CreateSymbolicLink(Socket("web.1"), machine.Path);
        HostSocket.Close(HostSocket.Listen(dead));
        JsonList rows = PsCommand.Machines(_folder);
        Assert.Equal(["db", "web.1"], rows.Select(static r => ((JsonMap)r!)["name"]));
        Assert.Equal(["dead", "not started"], rows.Select(static r => ((JsonMap)r!)["state"]));
        Assert.Equal([null, (long)Environment.ProcessId], rows.Select(static r => ((JsonMap)r!)["pid"]));
        Assert.Matches("(?m)^db +- +dead +- +- +-$", PsCommand.Table(rows));
        Assert.Matches("(?m)^web\\.1 +[0-9]+ +not started +0s +0 +4 MiB$", PsCommand.Table(rows));
        Assert.True(File.Exists(dead));
    }

    [Fact]
    public void One_that_does_not_answer_is_in_the_list()
    {
        int listener = HostSocket.Listen(Socket("silent"));
        Assert.Matches("(?m)^silent +- +does not answer ", PsCommand.Table(PsCommand.Machines(_folder)));
        HostSocket.Close(listener);
    }

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(192, "3m 12s")]
    [InlineData(7260, "2h 1m")]
    [InlineData(90_000, "1d 1h")]
    public void Times(long seconds, string text) => Assert.Equal(text, HumanText.Seconds(seconds));

    [Fact]
    public void Info_says_name_state_and_time()
    {
        using ControlTarget machine = new();
        JsonNode info = JsonNode.Parse(Cli.Run("ctl", machine.Path, "info", "--json").Out)!;
        Assert.Equal(("not started", 0), (info["state"]!.GetValue<string>(), info["uptimeSeconds"]!.GetValue<int>()));
        Assert.Null(info["name"]);
    }

    [KvmFact]
    public void A_machine_that_runs_has_its_name_and_its_time()
    {
        string name = $"ps-test-{Environment.ProcessId}";
        ProcessStartInfo start = new(Cli.Program,
            ["run", "--kernel", Guests.Path("loop"), "--memory", "16M", "--serial", "none", "--name", name]);
        using Process process = Process.Start(start)!;
        try
        {
            JsonNode? row = null;
            Assert.True(SpinWait.SpinUntil(() => (row = Own(process.Id)) is not null, 30_000));
            Assert.Equal((name, "running", 1),
                (row!["name"]!.GetValue<string>(), row["state"]!.GetValue<string>(), row["cpus"]!.GetValue<int>()));
            Assert.True(SpinWait.SpinUntil(() => Own(process.Id)!["uptimeSeconds"]!.GetValue<int>() > 0, 30_000));
        }
        finally
        {
            // It takes its socket with it.
            _ = Cli.Run("ctl", name, "stop");
            if (!process.WaitForExit(10_000)) process.Kill();
        }
    }

    private static JsonNode? Own(int process) =>
        JsonNode.Parse(Cli.Run("ps", "--json").Out)!["machines"]!.AsArray()
            .FirstOrDefault(r => r!["pid"]?.GetValue<int>() == process && r["state"]!.GetValue<string>() == "running");

    private string Socket(string name) => Path.Combine(_folder, name + ".sock");
}
