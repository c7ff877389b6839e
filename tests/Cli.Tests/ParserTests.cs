using System.Text;
using MicroVm.Cli.Arguments;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>The parser in this process.</summary>
public class ParserTests
{
    [Theory]
    [InlineData("512M", 512UL << 20)]
    [InlineData("2G", 2UL << 30)]
    [InlineData("2g", 2UL << 30)]
    [InlineData("1048576K", 1UL << 30)]
    [InlineData("1T", 1UL << 40)]
    [InlineData("512MiB", 512UL << 20)]
    [InlineData("512MB", 512UL << 20)]
    [InlineData("1.5G", 3UL << 29)]
    [InlineData("1.5gib", 3UL << 29)]
    public void Sizes(string text, ulong bytes) => Assert.Equal(bytes, Parse("--kernel", "k", "--memory", text).MemoryBytes);

    [Theory]
    [InlineData("path=a", "a", false, null, null, null)]
    [InlineData("path=a,ro", "a", true, null, null, null)]
    [InlineData("ro,path=a=b,serial=S1,transport=mmio", "a=b", true, "S1", VirtioTransport.Mmio, null)]
    [InlineData("path=a,transport=pci,port=2", "a", false, null, VirtioTransport.Pci, 2)]
    [InlineData("path=a,,b,ro", "a,b", true, null, null, null)]
    [InlineData("path=a,readonly", "a", true, null, null, null)]
    [InlineData("a.img", "a.img", false, null, null, null)]
    [InlineData("a,,b.img,ro,port=2", "a,b.img", true, null, null, 2)]
    [InlineData("/d/a=b.img,ro", "/d/a=b.img", true, null, null, null)]
    public void Disks(string text, string path, bool readOnly, string? serial, VirtioTransport? transport, int? port) =>
        Assert.Equal([new DiskOptions(path) { ReadOnly = readOnly, Serial = serial, Transport = transport, RootPort = port }], Parse("--kernel", "k", "--disk", text).Virtio);

    [Theory]
    [InlineData("tap=tap0,vhost,queues=4")]
    [InlineData("tap=tap0,queues=4,bps=1M,pps=1000,burst=10")]
    [InlineData("passt,queues=2", "need a tap")]
    [InlineData("fd=5,queues=2", "say how many")]
    [InlineData("tap=a,queues=0", "not a number of pairs")]
    [InlineData("fd=5:6")]
    [InlineData("socket=/tmp/a,,b")]
    [InlineData("passt,tcp=8080:80,tcp=22,,23,udp=53")]
    [InlineData("user")]
    [InlineData("tap=a,passt", "one host end")]
    [InlineData("mtu=1500", "one host end")]
    [InlineData("passt,vhost", "vhost needs a tap")]
    [InlineData("socket=a,vhost", "vhost needs a tap")]
    [InlineData("tap=a,tcp=80", "through passt only")]
    [InlineData("passt=yes", "takes no such value")]
    [InlineData("tap=a,vhost,bps=1M", "no frames to a limit")]
    [InlineData("tap=a,burst=5", "a burst without its limit")]
    public void Networks(string text, string? problem = null)
    {
        if (problem is not null)
        {
            Assert.Contains(problem, Assert.Throws<MicroVmException>(() => Parse("--kernel", "k", "--net", text)).Message, StringComparison.Ordinal);
            return;
        }
        NetOptions net = Assert.IsType<NetOptions>(Assert.Single(Parse("--kernel", "k", "--net", text).Virtio));
        Assert.Equal(text.StartsWith("tap", StringComparison.Ordinal) ? "tap0" : null, net.Tap);
        Assert.Equal(text.StartsWith("fd", StringComparison.Ordinal) ? [5, 6] : [], net.Descriptors);
        Assert.Equal(text.StartsWith("tap", StringComparison.Ordinal) ? 4 : 1, net.Queues);
        Assert.Equal(text.StartsWith("socket", StringComparison.Ordinal) ? "/tmp/a,b" : null, net.Socket);
        Assert.Equal(text[0] is 'p' or 'u', net.Passt is not null);
        Assert.Equal(text.EndsWith("=10", StringComparison.Ordinal) ? new RateLimits(1 << 20, 1000, 10) : default, net.Limits);
        if (text[0] != 'p') return;
        Assert.Equal(["8080:80", "22,23"], net.Passt!.Tcp);
        Assert.Equal(["53"], net.Passt.Udp);
    }

    [Theory]
    [InlineData("path=a,queues=4,iops=500", 4, 0ul, 500ul, 100u, DiskEngine.Auto)]
    [InlineData("path=a,bps=10M,burst=250,aio=threads", 1, 10ul << 20, 0ul, 250u, DiskEngine.Threads)]
    [InlineData("path=a,burst=1,iops=7,bps=1234,aio=io_uring", 1, 1234ul, 7ul, 1u, DiskEngine.IoUring)]
    public void Disk_with_queues_and_limits(string text, int queues, ulong bytes, ulong operations, uint burst, DiskEngine engine)
    {
        Assert.Equal([new DiskOptions("a") { Queues = queues, Limits = new RateLimits(bytes, operations, burst), Engine = engine }], Parse("--kernel", "k", "--disk", text).Virtio);
        RunSettings settings = new();
        ConfigFile.Apply("f", Encoding.UTF8.GetBytes($"{{\"disk\": [\"{text}\"]}}"), RunOptions.All, settings);
        Assert.Equal(queues, Assert.IsType<DiskOptions>(Assert.Single(settings.Virtio)).Queues);
    }

    [Fact]
    public void Devices_of_other_processes()
    {
        VirtioOptions[] expected =
        [
            new DiskOptions("/s1") { VhostUser = true, Transport = VirtioTransport.Pci },
            new FsOptions("share", "/s2") { RequestQueues = 2, Id = "f" },
            new NetOptions { VhostUser = "/s3", Mtu = 9000 },
        ];
        Assert.Equal(expected, Parse("--kernel", "k", "--disk", "vhost-user=/s1,transport=pci", "--fs", "tag=share,socket=/s2,queues=2,id=f", "--net", "vhost-user=/s3,mtu=9000").Virtio);
        RunSettings settings = new() { Kernel = "k" };
        ConfigFile.Apply("f", Encoding.UTF8.GetBytes("""{"fs": ["tag=share,socket=/s2,queues=2,id=f"], "disk": "vhost-user=/s1,transport=pci", "net": "vhost-user=/s3,mtu=9000"}"""), RunOptions.All, settings);
        Assert.Equal(new HashSet<VirtioOptions>(expected), [.. settings.Virtio]);
    }

    [Fact]
    public void Value_after_an_equals_sign()
    {
        MachineOptions options = Parse("--kernel=a", "--cmdline=root=/dev/vda", "--cpus=3", "--rng=false");
        Assert.Equal(("a", "root=/dev/vda", 3, false), (options.Kernel, options.CommandLine, options.Cpus, options.Virtio.Any()));
    }

    [Fact]
    public void Console_takes_standard_input_from_the_serial_port_unless_told()
    {
        MachineOptions options = Parse("--kernel", "k", "--console", "stdio");
        Assert.Equal((ConsoleEndpoint.None, ConsoleEndpoint.StandardIo), (options.Serial, options.Console));
        Assert.Contains("console=hvc0", options.CommandLine, StringComparison.Ordinal);
        Assert.Equal(ConsoleEndpoint.StandardIo, Parse("--kernel", "k").Serial);
    }

    [Fact]
    public void Disks_on_the_command_line_replace_those_of_the_file()
    {
        RunSettings settings = new();
        ConfigFile.Apply("f", Encoding.UTF8.GetBytes("""{"kernel": "k", "disk": ["path=a", "path=b"], "memory": "1G", "rng": true}"""), RunOptions.All, settings);
        Assert.Equal(["a", "b"], Disks(settings));
        Assert.True(RunOptions.Parse(["run", "--disk", "path=c", "--disk", "path=d"], settings));
        Assert.Equal(["c", "d"], Disks(settings));
        Assert.Contains(new RngOptions(), settings.ToOptions().Virtio);

        static IEnumerable<string> Disks(RunSettings settings) => settings.ToOptions().Virtio.OfType<DiskOptions>().Select(static d => d.Path);
    }

    [Theory]
    [InlineData("{\n  \"kernel\": \"\\ud800\"}", "f:2:13")]
    [InlineData("{\"\\udc00k\": 1}", "f:1:2")]
    [InlineData("{\"disk\": [\"path=a\", \"\u00ff\"]}", "f:1:21")] // as one byte below
    public void A_string_of_the_file_that_is_no_text_is_refused_at_its_place(string json, string place)
    {
        MicroVmException e = Assert.Throws<MicroVmException>(() => ConfigFile.Apply("f", Encoding.Latin1.GetBytes(json), RunOptions.All, new RunSettings()));
        Assert.Equal((FailureKind.Usage, place), (e.Kind, e.Where));
    }

    [Theory]
    [InlineData("memroy", "memory")]
    [InlineData("--initrdd", "initrd")]
    [InlineData("cmd", "cmdline")]
    [InlineData("c", null)]
    [InlineData("nett", "net")]
    [InlineData("zeppelin", null)]
    public void Suggestions(string word, string? expected) => Assert.Equal(expected, Suggestion.For(word, ArgumentParser.Names(RunOptions.All)));

    private static MachineOptions Parse(params string[] flags)
    {
        RunSettings settings = new();
        Assert.True(RunOptions.Parse(["run", .. flags], settings));
        return settings.ToOptions();
    }
}
