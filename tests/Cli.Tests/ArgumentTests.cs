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
    [InlineData("Did you mean target?", new[] { "run", "--balloon=targt=1M" })]
    [InlineData("a size without its unit, --balloon=target=512", new[] { "run", "--balloon=target=512" })]
    [InlineData("'statistics' of a balloon lacks its value", new[] { "run", "--balloon=statistics" })]
    [InlineData("not an interval in seconds", new[] { "run", "--balloon=statistics=0" })]
    [InlineData("unexpected argument, target=1M", new[] { "run", "--balloon", "target=1M" })]
    [InlineData("the balloon is larger than the guest", new[] { "run", "--kernel", "x", "--memory", "64M", "--balloon=target=65M" })]
    [InlineData("a balloon cannot give memory back that an assigned device holds", new[] { "run", "--kernel", "x", "--balloon", "--device", "0000:00:03.0" })]
    [InlineData("unknown flag, --folder", new[] { "run", "--folder", "tag=x" })]
    [InlineData("unknown part 'x' of a persistent memory", new[] { "run", "--pmem", "path=a,x" })]
    [InlineData("not a number of root ports, --pci-ports x. Use 0 to 16", new[] { "run", "--pci-ports", "x" })]
    [InlineData("not a number of root ports, --pci-ports 17. Use 0 to 16", new[] { "run", "--pci-ports", "17" })]
    [InlineData("not a number of vCPUs, --cpus x. Use 1 to 64", new[] { "run", "--cpus", "x" })]
    [InlineData("--cpus is given twice, --cpus=3. Remove one", new[] { "run", "--cpus", "2", "--cpus=3" })]
    [InlineData("--rng is given twice", new[] { "run", "--rng", "--rng=false" })]
    [InlineData("--config is given twice", new[] { "run", "--config", "a", "--config", "b" })]
    [InlineData("--cpu is given twice", new[] { "explain", "x", "--gva", "1", "--cpu", "0", "--cpu", "1" })]
    [InlineData("'path' of a disk is given twice, --disk a.img,path=b.img",
        new[] { "run", "--disk", "a.img,path=b.img" })]
    [InlineData("'ro' of a persistent memory is given twice", new[] { "run", "--pmem", "a,ro,ro" })]
    [InlineData("'id' of a network device is given twice", new[] { "run", "--net", "tap=a,id=b,id=c" })]
    [InlineData("'group' of a device is given twice",
        new[] { "run", "--kernel", "x", "--device", "00:03.0,group=3,group=4" })]
    [InlineData("a size that is not a whole number of bytes, --memory 0.1G", new[] { "run", "--memory", "0.1G" })]
    [InlineData("not a size, --memory 1.2.3G", new[] { "run", "--memory", "1.2.3G" })]
    [InlineData("not a size, --memory 512MX", new[] { "run", "--memory", "512MX" })]
    [InlineData("a size without its unit, --memory 1.5", new[] { "run", "--memory", "1.5" })]
    [InlineData("a persistent memory without its file", new[] { "run", "--pmem", "ro" })]
    [InlineData("a memory device without its size", new[] { "run", "--virtio-mem", "block=2M" })]
    [InlineData("not a size of a block, block=3072K", new[] { "run", "--kernel", "x", "--virtio-mem", "size=30M,block=3M" })]
    [InlineData("the memory device is no whole blocks", new[] { "run", "--kernel", "x", "--virtio-mem", "size=3M" })]
    [InlineData("more than the memory device has", new[] { "run", "--kernel", "x", "--virtio-mem", "size=128M,requested=130M" })]
    [InlineData("no whole blocks of the memory device", new[] { "run", "--kernel", "x", "--virtio-mem", "size=128M,requested=1M" })]
    [InlineData("that is more memory than the machine's map has", new[] { "run", "--kernel", "x", "--virtio-mem", "size=300G" })]
    [InlineData("that is more memory than the machine's map has", new[] { "run", "--kernel", "x", "--virtio-mem", "size=16000000T" })]
    [InlineData("that is more memory than the machine's map has", new[] { "run", "--kernel", "x", "--memory", "128G", "--virtio-mem", "size=200G" })]
    [InlineData("virtio-mem cannot give memory back that an assigned device holds", new[] { "run", "--kernel", "x", "--virtio-mem", "size=128M", "--device", "0000:00:03.0" })]
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
    [InlineData("--max-cpus x", new[] { "run", "--kernel", "x", "--max-cpus", "x" })]
    [InlineData("--max-cpus 1", new[] { "run", "--kernel", "x", "--cpus", "2", "--max-cpus", "1" })]
    [InlineData("--max-cpus 65", new[] { "run", "--kernel", "x", "--max-cpus", "65" })]
    [InlineData("--cpus 1000", new[] { "run", "--kernel", "x", "--cpus", "1000" })]
    [InlineData("--memory 0", new[] { "run", "--kernel", "x", "--memory", "0" })]
    [InlineData("--memory 0M", new[] { "run", "--kernel", "x", "--memory", "0M" })]
    [InlineData("--memory 1M", new[] { "run", "--kernel", "x", "--memory", "1M" })]
    [InlineData("--memory 512", new[] { "run", "--kernel", "x", "--memory", "512" })]
    [InlineData("--memory 99999999999999G", new[] { "run", "--kernel", "x", "--memory", "99999999999999G" })]
    [InlineData("a size without its unit, --max-memory 4", new[] { "run", "--kernel", "x", "--max-memory", "4" })]
    [InlineData("cannot make room for that much memory, --max-memory 128M. Give 256M to 261120M", new[] { "run", "--kernel", "x", "--max-memory", "128M" })]
    [InlineData("cannot make room for that much memory, --max-memory 307200M", new[] { "run", "--kernel", "x", "--max-memory", "300G" })]
    [InlineData("that is more memory than the machine's map has", new[] { "run", "--kernel", "x", "--max-memory", "250G", "--virtio-mem", "size=100G" })]
    [InlineData("nothing to connect it to, --console tty", new[] { "run", "--kernel", "x", "--console", "tty" })]
    [InlineData("nothing to connect it to, --console socket=", new[] { "run", "--kernel", "x", "--console", "socket=" })]
    [InlineData("a port without its name", new[] { "run", "--kernel", "x", "--port", "socket=/tmp/x" })]
    [InlineData("a port without its host end", new[] { "run", "--kernel", "x", "--port", "name=a" })]
    [InlineData("a port has one host end", new[] { "run", "--kernel", "x", "--port", "name=a,socket=/tmp/x,file=y" })]
    [InlineData("Did you mean socket?", new[] { "run", "--kernel", "x", "--port", "name=a,soket=/tmp/x" })]
    [InlineData("not a name for a port, name=a b", new[] { "run", "--kernel", "x", "--port", "name=a b,socket=/tmp/x" })]
    [InlineData("two ports have one name, name=a", new[] { "run", "--kernel", "x", "--port", "name=a,file=x", "--port", "name=a,file=y" })]
    [InlineData("a disk without its file", new[] { "run", "--kernel", "x", "--disk", "ro" })]
    [InlineData("not a number of queues", new[] { "run", "--kernel", "x", "--disk", "path=a,queues=0" })]
    [InlineData("not a number of queues", new[] { "run", "--kernel", "x", "--disk", "path=a,queues=65" })]
    [InlineData("not a number of bytes a second", new[] { "run", "--kernel", "x", "--disk", "path=a,bps=10X" })]
    [InlineData("not a number of operations a second", new[] { "run", "--kernel", "x", "--disk", "path=a,iops=0" })]
    [InlineData("a burst without its limit", new[] { "run", "--kernel", "x", "--disk", "path=a,burst=100" })]
    [InlineData("Use aio=io_uring or aio=threads", new[] { "run", "--kernel", "x", "--disk", "path=a,aio=native" })]
    [InlineData("Did you mean ro?", new[] { "run", "--kernel", "x", "--disk", "path=a,roo" })]
    [InlineData("that is no device, --device 00:03.0,grup=3", new[] { "run", "--kernel", "x", "--device", "00:03.0,grup=3" })]
    [InlineData("neither true nor false, --iommu", new[] { "run", "--kernel", "x", "--iommu=maybe" })]
    [InlineData("the backend says what its disk is like", new[] { "run", "--kernel", "x", "--disk", "vhost-user=/s,ro" })]
    [InlineData("without its backend", new[] { "run", "--kernel", "x", "--fs", "tag=t" })]
    [InlineData("without its tag", new[] { "run", "--kernel", "x", "--fs", "socket=/s" })]
    [InlineData("not a number of queues, --fs tag=t,socket=/s,queues=65. Use 1 to 64",
        new[] { "run", "--kernel", "x", "--fs", "tag=t,socket=/s,queues=65" })]
    [InlineData("both move the frames", new[] { "run", "--kernel", "x", "--net", "vhost-user=/s,vhost" })]
    [InlineData("needs one host end", new[] { "run", "--kernel", "x", "--net", "vhost-user=/s,tap=t" })]
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
    [InlineData("{\"iommu\": 1}", "takes true or false")]
    [InlineData("{\"kernel\": {}}", "takes a string")]
    [InlineData("{\"rng\": \"true\"}", "takes true or false")]
    [InlineData("{\"kernel\": true}", "takes a string")]
    [InlineData("{\"balloon\": \"target=1\"}", "a size without its unit")]
    [InlineData("{\"balloon\": true}", "no kernel was given")]
    [InlineData("{\"kernel\": [\"a\"]}", "not a list")]
    [InlineData("{\"disk\": [\"path=a\", \"pth=b\"]}", ":1:21. Did you mean path?")]
    [InlineData("{\"config\": \"x\"}", "unknown key 'config' in a configuration, ")]
    [InlineData("{\"conig\": \"x\"}", "Keys are the flags")]
    [InlineData("{\"cpus\": 2,\n \"kernel\": \"k\", \"cpus\": 3}", "key 'cpus' is given twice, ")]
    [InlineData("{\"cpus\": 2,\n \"cpus\": 3}", ":2:2. Remove one")]
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
