using System.Text;
using System.Text.Json.Nodes;
using MicroVm.Cli.Control;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>What <c>microvm ctl</c> sends, and what it says where it cannot.</summary>
public sealed class ClientTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-client-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("--disk|path=data.img,ro|--wait|5", "--disk|path=/a,,b/data.img,ro|--wait|5")]
    [InlineData("--disk|data.img", "--disk|path=/a,,b/data.img")]
    [InlineData("--disk=path=x,,y.img,id=d", "--disk=path=/a,,b/x,,y.img,id=d")]
    [InlineData("--disk|path=/x.img", "--disk|path=/x.img")]
    [InlineData("--disk|vhost-user=s", "--disk|vhost-user=/a,,b/s")]
    [InlineData("--fs|tag=t,socket=s", "--fs|tag=t,socket=/a,,b/s")]
    [InlineData("--net|socket=s,mac=52:54:00:12:34:56", "--net|socket=/a,,b/s,mac=52:54:00:12:34:56")]
    [InlineData("--net|vhost-user=../s", "--net|vhost-user=/a,,b/../s")]
    [InlineData("--vsock|cid=3,socket=s", "--vsock|cid=3,socket=/a,,b/s")]
    [InlineData("--net|tap=tap0", "--net|tap=tap0")]
    [InlineData("--memory|1G,id=path", "--memory|1G,id=path")]
    [InlineData("--rng", "--rng")]
    public void Paths_are_those_of_who_asks(string words, string sent) =>
        Assert.Equal(sent, string.Join('|', Change.From(words.Split('|'), "/a,b")));

    // Each device that can be plugged in, so that a new one with a path is not forgotten.
    [Fact]
    public void Every_pluggable_device_whose_form_has_a_path_has_its_paths_resolved()
    {
        foreach (Arguments.Option<ChangeSettings> option in Change.AddOptions)
        {
            bool hasPath = option.Value?.Contains("PATH", StringComparison.Ordinal) == true
                || option.Value?.Contains("SOCKET", StringComparison.Ordinal) == true
                    || option.Value?.Contains("path=", StringComparison.Ordinal) == true;
            Assert.True(!hasPath || option.Parts is not null, option.Name);
        }
    }

    [Fact]
    public async Task The_request_has_the_path_of_the_client_s_folder()
    {
        string socket = Path.Combine(_folder, "s");
        int listener = HostSocket.Listen(socket);
        Assert.True(listener >= 0);
        Task<JsonNode> server = Task.Run(() => Serve(listener));
        Assert.Equal(0, Cli.Shell("cd \"$1\"; shift; exec \"$0\" \"$@\"", _folder, "ctl", socket, "add", "--disk",
            "path=data.img").Code);
        Assert.Equal($"path={_folder}/data.img", (await server)["arguments"]![1]!.GetValue<string>());
        HostSocket.Close(listener);
    }

    [Fact]
    public void A_machine_that_was_killed_has_ended_and_one_that_never_was_does_not_run()
    {
        string socket = Path.Combine(_folder, "s");
        HostSocket.Close(HostSocket.Listen(socket));
        foreach ((string path, string expected) in new[] { (socket, "the machine has ended"),
            (socket + "2", "no such machine runs") })
        {
            Ran ran = Cli.Run("ctl", path, "list");
            Assert.Equal(125, ran.Code);
            Assert.Contains($"{expected}", ran.ErrorLine(), StringComparison.Ordinal);
            Assert.Contains(path, ran.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("resize", "--cpus N", "--virtio-mem SIZE", "--balloon SIZE", "--wait S")]
    [InlineData("remove", "--force", "--wait S")]
    [InlineData("add", "--disk", "--net", "--fs", "--vsock", "--rng", "--device", "--memory", "--wait S")]
    public void Help_of_a_command_has_its_flags(string command, params string[] flags)
    {
        foreach (string[] args in new string[][] { ["ctl", command, "--help"], ["ctl", "web", command, "-h"] })
        {
            Ran ran = Cli.Run(args);
            Assert.Equal((0, ""), (ran.Code, ran.Error));
            Assert.Contains($"Usage: microvm ctl NAME|PATH {command} ", ran.Out, StringComparison.Ordinal);
            foreach (string flag in flags) Assert.Contains($"\n  {flag}", ran.Out, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("resize", "resize takes a size, none was given")]
    [InlineData("resize --cpus 2 --balloon 1M", "resize takes a size, 2 were given")]
    [InlineData("resize --cpus 2 --cpus 3", "--cpus is given twice")]
    [InlineData("resize data 1X", "not a size, 1X")]
    [InlineData("resize data 1G 2G", "unexpected argument, 2G")]
    [InlineData("resize --force", "unknown flag, --force")]
    [InlineData("remove a b", "remove takes one device, 2 were given")]
    [InlineData("remove a --wait x", "not a time to wait, --wait x")]
    [InlineData("remove a --wait 51", "not a time to wait, --wait 51. Use seconds, at most 50")]
    [InlineData("add --rng --disk a", "add takes one device, 2 were given")]
    [InlineData("add --disk a --disk b", "add takes one device, 2 were given")]
    [InlineData("add a", "unexpected argument, a")]
    public void Wrong_words_of_a_change_are_refused(string words, string expected)
    {
        using ControlTarget machine = new();
        Ran ran = Cli.Run(["ctl", machine.Path, .. words.Split(' ')]);
        Assert.Equal(127, ran.Code);
        Assert.Contains(expected, ran.ErrorLine(), StringComparison.Ordinal);
    }

    private static JsonNode Serve(int listener)
    {
        Assert.True(HostIo.Wait(listener, Libc.EPOLLIN, 30_000));
        int fd = HostSocket.Accept(listener);
        ControlLine line = new(fd);
        Assert.True(line.TryRead(out ReadOnlyMemory<byte> request, out _));
        string text = Encoding.UTF8.GetString(request.Span);
        Assert.True(ControlLine.Send(fd, new ControlAnswer { Ok = true }));
        HostSocket.Close(fd);
        return JsonNode.Parse(text)!;
    }
}
