using Xunit;

namespace MicroVm.Cli.Tests;

public class ArgumentTests
{
    [Theory]
    [InlineData(new[] { "--help" }, "Usage: microvm COMMAND")]
    [InlineData(new[] { "help" }, "Usage: microvm COMMAND")]
    [InlineData(new[] { "run", "--help" }, "Usage: microvm run --kernel FILE")]
    [InlineData(new[] { "run", "--kernel", "x", "-h" }, "Usage: microvm run --kernel FILE")]
    [InlineData(new[] { "help", "doctor" }, "Usage: microvm doctor")]
    [InlineData(new[] { "--version" }, "microvm 0.")]
    public void Help_goes_to_standard_output_with_code_0(string[] args, string expected)
    {
        Ran ran = Cli.Run(args);
        Assert.Equal(0, ran.Code);
        Assert.Contains(expected, ran.Out, StringComparison.Ordinal);
        Assert.Empty(ran.Error);
    }

    [Theory]
    [InlineData("--kernel", "--initrd", "--cmdline", "--cpus", "--memory", "--disk", "--rng", "--serial", "--console", "--trace", "--timeline", "--config")]
    public void Help_of_run_names_every_flag_default_and_exit_code(params string[] flags)
    {
        string help = Cli.Run("run", "--help").Out;
        foreach (string flag in flags) Assert.Contains(flag, help, StringComparison.Ordinal);
        foreach (string word in new[] { "[default: 256M]", "[default: 1]", "123", "125", "126", "127", "Ctrl-A x" }) Assert.Contains(word, help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no command", new string[0])]
    [InlineData("Did you mean 'microvm run'?", new[] { "rnu" })]
    [InlineData("Did you mean --kernel?", new[] { "run", "--kernl", "x" })]
    [InlineData("Did you mean --memory?", new[] { "run", "--mem", "1G" })]
    [InlineData("unknown flag, --balloon", new[] { "run", "--balloon" })]
    [InlineData("unknown flag, --fs", new[] { "run", "--fs", "tag=x" })]
    [InlineData("unknown flag, --pmem", new[] { "run", "--pmem", "x" })]
    [InlineData("two places for one control socket, --name and --api-socket", new[] { "run", "--kernel", "k", "--name", "a", "--api-socket", "x" })]
    [InlineData("not a name for a machine, --name ../x", new[] { "run", "--name", "../x" })]
    [InlineData("not a path for a socket, --api-socket=", new[] { "run", "--api-socket=" })]
    [InlineData("a value is missing, --kernel", new[] { "run", "--kernel" })]
    [InlineData("a value is missing, --kernel", new[] { "run", "--kernel", "--rng" })]
    [InlineData("unexpected argument, vmlinuz", new[] { "run", "vmlinuz" })]
    [InlineData("no kernel was given", new[] { "run", "--rng" })]
    [InlineData("--cpus x", new[] { "run", "--kernel", "x", "--cpus", "x" })]
    [InlineData("--cpus -1", new[] { "run", "--kernel", "x", "--cpus", "-1" })]
    [InlineData("--cpus 0", new[] { "run", "--kernel", "x", "--cpus", "0" })]
    [InlineData("--cpus 1000", new[] { "run", "--kernel", "x", "--cpus", "1000" })]
    [InlineData("--memory 0", new[] { "run", "--kernel", "x", "--memory", "0" })]
    [InlineData("--memory 0M", new[] { "run", "--kernel", "x", "--memory", "0M" })]
    [InlineData("--memory 1M", new[] { "run", "--kernel", "x", "--memory", "1M" })]
    [InlineData("--memory 512", new[] { "run", "--kernel", "x", "--memory", "512" })]
    [InlineData("--memory 99999999999999G", new[] { "run", "--kernel", "x", "--memory", "99999999999999G" })]
    [InlineData("a disk without its file", new[] { "run", "--kernel", "x", "--disk", "ro" })]
    [InlineData("Did you mean ro?", new[] { "run", "--kernel", "x", "--disk", "path=a,roo" })]
    [InlineData("transport=usb", new[] { "run", "--kernel", "x", "--disk", "path=a,transport=usb" })]
    [InlineData("--serial tty", new[] { "run", "--kernel", "x", "--serial", "tty" })]
    [InlineData("cannot share standard input", new[] { "run", "--kernel", "x", "--serial", "stdio", "--console", "stdio" })]
    public void Wrong_flags_end_with_127_and_one_line(string expected, string[] args)
    {
        Ran ran = Cli.Run(args);
        Assert.Equal(127, ran.Code);
        Assert.Contains(expected, ran.ErrorLine(), StringComparison.Ordinal);
        Assert.Empty(ran.Out);
    }

    [Theory]
    [InlineData("{\n \"kernel\": \"x\",\n \"cpsu\": 2}", ":3:2. Did you mean 'cpus'?")]
    [InlineData("{\n \"kernel\": \"x\",\n \"cpus\": \"two\"}", ":3:10. ")]
    [InlineData("{\n \"kernel\" \"x\"}", ":2:11. ")]
    [InlineData("{\"kernel\": \"x\"} y", "not valid JSON")]
    [InlineData("", "not valid JSON")]
    [InlineData("[]", "is not an object")]
    [InlineData("{\"rng\": 1}", "takes true or false")]
    [InlineData("{\"kernel\": {}}", "takes a string")]
    [InlineData("{\"kernel\": [\"a\"]}", "not a list")]
    [InlineData("{\"disk\": [\"path=a\", \"pth=b\"]}", ":1:21. Did you mean path?")]
    [InlineData("{\"config\": \"x\"}", "unknown key 'config'")]
    [InlineData("{\"a\":[[[[[[[[[[[[]]]]]]]]]]]]}", "unknown key 'a'")]
    public void Wrong_configuration_names_line_and_column(string json, string expected)
    {
        Ran ran = Cli.Run("run", "--config", Cli.File("bad.json", json));
        Assert.Equal(127, ran.Code);
        Assert.Contains(expected, ran.ErrorLine(), StringComparison.Ordinal);
    }

    [Fact]
    public void Unreadable_configuration_ends_with_127()
    {
        Assert.Equal(127, Cli.Run("run", "--config", Cli.Scratch).Code);
        Assert.Contains("No such file", Cli.Run("run", "--config", "missing.json").ErrorLine(), StringComparison.Ordinal);
    }

    [Fact]
    public void Flags_override_the_configuration()
    {
        string config = Cli.File("good.json", "{\"kernel\": \"from-file\", \"cpus\": 2, // a comment\n}");
        Assert.Contains("from-file", Cli.Run("run", "--config", config).Error, StringComparison.Ordinal);
        Assert.Contains("from-flag", Cli.Run("run", "--kernel", "from-flag", "--config", config).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_with_line_breaks_stays_on_one_line() =>
        Assert.Contains("a?b?[31m", Cli.Run("run", "--kernel", "a\nb\e[31m").ErrorLine(), StringComparison.Ordinal);
}
