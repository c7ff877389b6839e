using System.Globalization;
using MicroVm.Cli.Control;
using MicroVm.Pci;

namespace MicroVm.Cli.Arguments;

/// <summary>The flags of <c>microvm run</c>.</summary>
internal static class RunOptions
{
    /// <summary>Kernel command line where the virtio console is the only one.</summary>
    internal const string ConsoleCommandLine = "console=hvc0";

    internal static readonly Option<RunSettings>[] All =
    [
        new("kernel", "FILE", "Linux kernel: bzImage of any compression, or ELF (vmlinux).", static (s, v) => s.Kernel = Text(v)) { Heading = "Guest" },
        new("initrd", "FILE", "Initial RAM disk.", static (s, v) => s.Initrd = Text(v)),
        new("cmdline", "TEXT",
            "Kernel command line. Linux gets panic=-1 in front of it, so that a kernel\nthat panics ends the machine; what you write wins.",
            static (s, v) => s.CommandLine = v.Text) { Default = "console=ttyS0" },
        new("cpus", "N", "vCPUs, 1 to 64.", static (s, v) => s.Cpus = Cpus(v)) { Default = "1" },
        new("max-cpus", "N",
            "vCPUs that there may be: 'microvm ctl NAME resize --cpus' changes their\nnumber while the guest runs.",
            static (s, v) => s.PossibleCpus = Cpus(v)) { Default = "as many as --cpus, which then stay" },
        new("nested", null,
            "The guest may have guests of its own, where the host's KVM allows it.", static (s, v) =>
            s.Nested = Switch(v)) { Default = "off" },
        new("memory", "SIZE", "Guest memory: 512M, 1.5G. Units are powers of 1024.", static (s, v) =>
            s.MemoryBytes = SizeText.Parse(v)) { Default = "256M" },
        new("max-memory", "SIZE", "Memory that there may be with DIMMs, up to 8: 'microvm ctl NAME add\n--memory SIZE' plugs one in while the guest runs.", static (s, v) => s.PossibleMemoryBytes = SizeText.Parse(v)) { Default = "no DIMMs" },

        new("disk", DiskText.Form,
            "virtio disk from a raw image or block device, /dev/vda and so on;\nonce for each. A comma in a path is written twice. With queues, as many\nas vCPUs; bps and iops limit it, burst (100) is how many milliseconds of\nthem may be saved up; aio: what moves the data, where the host has both.\nWith vhost-user: the disk of a backend that listens at SOCKET, for\nexample a qcow2 image of qemu-storage-daemon.", static (s, v) => s.Add(DiskText.Parse(v), v)) { Heading = "Devices", Repeatable = true, Pluggable = true, Parts = DiskText.Parts },
        new("fs", FsText.Form,
            "Folder of the host (virtio-fs) that virtiofsd shares at PATH; once for\neach. In the guest: mount -t virtiofs T /mnt.", static (s, v) => s.Add(FsText.Parse(v), v)) { Repeatable = true, Pluggable = true, Parts = FsText.Parts },
        new("net", NetText.Form,
            "virtio network device; once for each. Its host end is a tap, an open tap,\na program at a socket, a backend (vhost-user), or a passt of its own,\nwhich needs no rights: the guest gets an address by DHCP, and\ntcp=8080:80 leads from the host's port 8080 to the guest's 80. With mac,\nthe guest is held to it; vhost leaves the frames to the host's kernel;\nbps and pps limit each direction.", static (s, v) => s.Add(NetText.Parse(v), v)) { Repeatable = true, Pluggable = true, Parts = NetText.Parts },
        new("vsock", VsockText.Form,
            "virtio socket device. The host connects to PATH and says \"CONNECT port\";\na guest that connects to port P reaches the socket PATH_P. With vhost:\nAF_VSOCK sockets of the host.", static (s, v) => s.Set(VsockText.Parse(v), v)) { Default = "none", Pluggable = true, Parts = VsockText.Parts },
        new("balloon", BalloonText.Form, "virtio balloon, by which the guest gives memory back: target at first,\nthen what 'microvm ctl NAME resize --balloon SIZE' says. oom: it takes\nmemory back before it kills a program; reporting: it gives up by itself\nwhat is free; statistics: asks for its figures that often.", static (s, v) => SetBalloon(s, v)) { Default = "none", Bare = true },
        new("virtio-mem", MemText.Form, "virtio-mem device: memory beyond --memory that comes and goes in blocks\nas 'microvm ctl NAME resize --virtio-mem SIZE' says, up to size.", static (s, v) => s.Set(MemText.Parse(v), v)) { Default = "none; block=2M, requested=0" },
        new("pmem", PmemText.Form, "A file as persistent memory, /dev/pmem0 and so on; once for each.", static (s, v) => s.Add(PmemText.Parse(v), v)) { Repeatable = true },
        new("rng", null, "virtio entropy device.", static (s, v) => s.Rng = Switch(v)) { Default = "off", Pluggable = true },
        new("transport", "mmio|pci", "How virtio devices are attached that do not say it themselves.\nEach of those above also takes transport=mmio|pci, port=N (behind that\nPCI root port, from 1) and id=NAME.", static (s, v) => s.Transport = TransportText.Parse(v.Text, v)) { Default = "mmio" },
        new("rng-transport", "mmio|pci", "How the entropy device is attached.", static (s, v) => s.RngTransport = TransportText.Parse(v.Text, v)) { Default = "as --transport" },
        new("console-transport", "mmio|pci", "How the virtio console is attached.", static (s, v) => s.ConsoleTransport = TransportText.Parse(v.Text, v)) { Default = "as --transport" },
        new("pci", null, "A PCI host bridge even where no device needs it.", static (s, v) => s.Pci = Switch(v)) { Default = "with the first PCI device" },
        new("device", "BDF[,iommufd=on|off|FD][,group|container|cdev=FD]", "PCI function of the host that the guest gets, for example 0000:00:03.0;\nonce for each. First: microvm vfio bind BDF. iommufd=on: by /dev/iommu and\nthe device's own file; off: by its group. The descriptors, for a process\nthat may not open the files: container and group are /dev/vfio/vfio and\n/dev/vfio/N, iommufd and cdev /dev/iommu and /dev/vfio/devices/vfioN.", static (s, v) => AddDevice(s, v)) { Repeatable = true, Pluggable = true },
        new("unsafe-interrupts", null, "Assign devices also where the host checks no interrupts of theirs.", static (s, v) => s.UnsafeInterrupts = Switch(v)) { Default = "off" },
        new("iommu", null, "An IOMMU for the guest, with assigned functions and virtio functions on\nPCI behind it (virtio-iommu; Linux 6.x with its driver).", static (s, v) => s.Iommu = Switch(v)) { Default = "off" },
        new("pci-ports", "N", "PCI Express root ports, 0 to 16: each a slot with a bus of its own.", static (s, v) =>
            s.PciRootPorts = Count(v, "root ports", 0, PciHost.MaxRootPorts)) { Default = "0" },
        new("serial", EndpointText.Form, "Serial port ttyS0.", static (s, v) => s.Serial = EndpointText.Parse(v)) { Default = "stdio; none with --console stdio" },
        new("console", EndpointText.Form, "virtio console hvc0. A socket takes one client at a time.", static (s, v) => s.Console = EndpointText.Parse(v)) { Default = "none" },
        new("port", EndpointText.PortForm, "Named port of the virtio console, /dev/virtio-ports/NAME in the\nguest; once for each.", static (s, v) => s.AddPort(EndpointText.ParsePort(v), v)) { Repeatable = true },

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

    private static string Text(OptionValue v) => v.Text.Length > 0 ? v.Text
        : throw v.Bad("an empty value", "Use a path");

    private static bool Switch(OptionValue v) => v.Text switch
    {
        "true" => true,
        "false" => false,
        _ => throw v.Bad("neither true nor false", "Use the flag alone, or =false"),
    };

    /// <summary>A number of vCPUs.</summary>
    internal static int Cpus(OptionValue v) => Count(v, "vCPUs", 1, MachineOptions.MaxCpus);

    private static int Count(OptionValue v, string what, int least, int most) =>
        int.TryParse(v.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n >= least && n <= most ? n
            : throw v.Bad($"not a number of {what}", $"Use {least} to {most}");

    private static string[] Categories(OptionValue v)
    {
        string[] categories = v.Text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return categories.Length > 0 ? categories : throw v.Bad("no category", "Use mmio, pio, all or names of blocks");
    }

    private static void SetBalloon(RunSettings s, OptionValue v)
    {
        if (v.Text == "false") _ = s.Virtio.RemoveAll(static d => d is BalloonOptions);
        else s.Set(BalloonText.Parse(v), v);
    }

    private static void AddDevice(RunSettings s, OptionValue v)
    {
        if (s.DevicesFromFile && !v.FromFile) s.Devices.Clear();
        s.DevicesFromFile = v.FromFile;
        s.Devices.Add(Text(v));
    }
}
