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
    public void Sizes(string text, ulong bytes) => Assert.Equal(bytes, Parse("--kernel", "k", "--memory", text).MemoryBytes);

    [Theory]
    [InlineData("path=a", "a", false, null, null, null)]
    [InlineData("path=a,ro", "a", true, null, null, null)]
    [InlineData("ro,path=a=b,serial=S1,transport=mmio", "a=b", true, "S1", VirtioTransport.Mmio, null)]
    [InlineData("path=a,transport=pci,port=2", "a", false, null, VirtioTransport.Pci, 2)]
    [InlineData("path=a,,b,ro", "a,b", true, null, null, null)]
    public void Disks(string text, string path, bool readOnly, string? serial, VirtioTransport? transport, int? port) =>
        Assert.Equal([new DiskOptions(path) { ReadOnly = readOnly, Serial = serial, Transport = transport, RootPort = port }], Parse("--kernel", "k", "--disk", text).Virtio);

    [Fact]
    public void Value_after_an_equals_sign_and_last_of_two()
    {
        MachineOptions options = Parse("--kernel=a", "--cmdline=root=/dev/vda", "--cpus", "2", "--cpus=3", "--rng=false");
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
    [InlineData("memroy", "memory")]
    [InlineData("--initrdd", "initrd")]
    [InlineData("cmd", "cmdline")]
    [InlineData("c", null)]
    [InlineData("nett", "net")]
    [InlineData("balloon", null)]
    public void Suggestions(string word, string? expected) => Assert.Equal(expected, Suggestion.For(word, ArgumentParser.Names(RunOptions.All)));

    private static MachineOptions Parse(params string[] flags)
    {
        RunSettings settings = new();
        Assert.True(RunOptions.Parse(["run", .. flags], settings));
        return settings.ToOptions();
    }
}
