using System.Globalization;
using MicroVm.Cli.Control;

namespace MicroVm.Cli.Arguments;

/// <summary>The flags of <c>microvm run</c>.</summary>
internal static class RunOptions
{
    /// <summary>Kernel command line where the virtio console is the only one.</summary>
    internal const string ConsoleCommandLine = "console=hvc0 panic=-1";

    internal static readonly Option<RunSettings>[] All =
    [
        new("kernel", "FILE", "Linux kernel: bzImage of any compression, or ELF (vmlinux).", static (s, v) => s.Kernel = Text(v)) { Heading = "Guest" },
        new("initrd", "FILE", "Initial RAM disk.", static (s, v) => s.Initrd = Text(v)),
        new("cmdline", "TEXT", "Kernel command line.", static (s, v) => s.CommandLine = v.Text) { Default = "console=ttyS0 panic=-1" },
        new("cpus", "N", "vCPUs, 1 to 64.", static (s, v) => s.Cpus = Count(v)) { Default = "1" },
        new("memory", "SIZE", "Guest memory: 512M, 2G.", static (s, v) => s.MemoryBytes = Size(v)) { Default = "256M" },

        new("disk", DiskText.Form, "virtio disk from a raw image or block device, /dev/vda and so on;\nonce for each. A comma in a path is written twice.", static (s, v) => s.Add(DiskText.Parse(v), v)) { Heading = "Devices", Repeatable = true },
        new("net", NetText.Form, "virtio network device on a tap of the host; once for each. With mac,\nthe guest is held to it; vhost leaves the frames to the host's kernel.", static (s, v) => s.Add(NetText.Parse(v), v)) { Repeatable = true },
        new("vsock", VsockText.Form, "virtio socket device. The host connects to PATH and says \"CONNECT port\";\na guest that connects to port P reaches the socket PATH_P. With vhost:\nAF_VSOCK sockets of the host.", static (s, v) => s.Set(VsockText.Parse(v), v)) { Default = "none" },
        new("rng", null, "virtio entropy device.", static (s, v) => s.Rng = Switch(v)) { Default = "off" },
        new("transport", "mmio|pci", "How virtio devices are attached that do not say it themselves.\nEach of those above also takes transport=mmio|pci, port=N (behind that\nPCI root port, from 1) and id=NAME.", static (s, v) => s.Transport = TransportText.Parse(v.Text, v)) { Default = "mmio" },
        new("rng-transport", "mmio|pci", "How the entropy device is attached.", static (s, v) => s.RngTransport = TransportText.Parse(v.Text, v)) { Default = "as --transport" },
        new("console-transport", "mmio|pci", "How the virtio console is attached.", static (s, v) => s.ConsoleTransport = TransportText.Parse(v.Text, v)) { Default = "as --transport" },
        new("pci", null, "A PCI host bridge even where no device needs it.", static (s, v) => s.Pci = Switch(v)) { Default = "with the first PCI device" },
        new("device", "BDF", "PCI function of the host that the guest gets, for example 0000:00:03.0;\nonce for each. First: microvm vfio bind BDF.", static (s, v) => AddDevice(s, v)) { Repeatable = true },
        new("unsafe-interrupts", null, "Assign devices also where the host checks no interrupts of theirs.", static (s, v) => s.UnsafeInterrupts = Switch(v)) { Default = "off" },
        new("pci-ports", "N", "PCI Express root ports, 0 to 16: each a slot with a bus of its own.", static (s, v) => s.PciRootPorts = Count(v)) { Default = "0" },
        new("serial", "stdio|file=F|none", "Serial port ttyS0.", static (s, v) => s.Serial = Endpoint(v)) { Default = "stdio; none with --console stdio" },
        new("console", "stdio|file=F|none", "virtio console hvc0.", static (s, v) => s.Console = Endpoint(v)) { Default = "none" },

        new("trace", "CATEGORIES", "Print each register access to standard error: mmio, pio, all, or\nnames of blocks such as virtio-mmio,uart16550.", static (s, v) => s.Trace = Categories(v)) { Heading = "Diagnostics" },
        new("timeline", "FILE", "Write when each phase of the start was reached, as JSON.", static (s, v) => s.Timeline = Text(v)),

        new("name", "NAME", "Name of the machine: 'microvm ctl NAME' reaches it.", static (s, v) => s.Name = ControlPath.Check(ControlPath.OfName(v.Text, v.Where), v.Where)) { Heading = "Control" },
        new("api-socket", "PATH", "Control socket of the machine, for 'microvm ctl PATH'. One at most of\nthese two.", static (s, v) => s.Socket = ControlPath.Check(v.Text, v.Where)),

        new("config", "FILE", "JSON object with these flags as keys: {\"kernel\": \"vmlinuz\",\n\"cpus\": 2, \"disk\": [\"path=a.img,ro\"]}. Flags override it.", static (s, v) => s.Config = Text(v)) { Heading = "Configuration", FlagOnly = true },
    ];

    /// <summary>Fills <paramref name="settings"/> from the words after the command; false if help was asked for.</summary>
    internal static bool Parse(string[] args, RunSettings settings)
    {
        var flags = ArgumentParser.Parse("run", args, 1, All);
        if (flags is null) return false;
        foreach ((Option<RunSettings> option, OptionValue value) in flags)
        {
            if (option.Name == "config") ConfigFile.Apply(value, All, settings);
        }
        foreach ((Option<RunSettings> option, OptionValue value) in flags) option.Set(settings, value);
        return true;
    }

    private static string Text(OptionValue v) => v.Text.Length > 0 ? v.Text : throw v.Bad("an empty value", "Give a path");

    private static bool Switch(OptionValue v) => v.Text switch
    {
        "true" => true,
        "false" => false,
        _ => throw v.Bad("neither true nor false", "Give the flag alone, or =false"),
    };

    private static int Count(OptionValue v) =>
        int.TryParse(v.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : throw v.Bad("not a number of vCPUs", $"Give 1 to {MachineOptions.MaxCpus}");

    private static ulong Size(OptionValue v)
    {
        int shift = v.Text.Length == 0 ? 0 : char.ToUpperInvariant(v.Text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 };
        if (shift == 0) throw v.Bad("a size without its unit", "Give it as 512M or 2G");
        bool parsed = ulong.TryParse(v.Text.AsSpan(0, v.Text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out ulong n);
        if (!parsed) throw v.Bad("not a size", "Give it as 512M or 2G");
        if (n > ulong.MaxValue >> shift) throw v.Bad("more memory than an address can name", "Give it as 512M or 2G");
        return n << shift;
    }

    private static ConsoleEndpoint Endpoint(OptionValue v) => v.Text switch
    {
        "stdio" => ConsoleEndpoint.StandardIo,
        "none" => ConsoleEndpoint.None,
        _ when v.Text.StartsWith("file=", StringComparison.Ordinal) && v.Text.Length > 5 => ConsoleEndpoint.File(v.Text[5..]),
        _ => throw v.Bad("nothing to connect it to", "Give stdio, file=PATH or none"),
    };

    private static string[] Categories(OptionValue v)
    {
        string[] categories = v.Text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return categories.Length > 0 ? categories : throw v.Bad("no category", "Give mmio, pio, all or names of blocks");
    }

    private static void AddDevice(RunSettings s, OptionValue v)
    {
        if (s.DevicesFromFile && !v.FromFile) s.Devices.Clear();
        s.DevicesFromFile = v.FromFile;
        s.Devices.Add(Text(v));
    }
}
