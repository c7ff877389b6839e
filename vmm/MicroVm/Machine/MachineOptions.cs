namespace MicroVm;

/// <summary>What to boot and with which devices. Validated by <see cref="Machine.Create"/>.</summary>
public sealed record MachineOptions
{
    /// <summary>Most vCPUs of one machine.</summary>
    public const int MaxCpus = 64;

    /// <summary>Kernel file: bzImage of any compression, or ELF.</summary>
    public required string Kernel { get; init; }

    /// <summary>Initial RAM disk file.</summary>
    public string? Initrd { get; init; }

    /// <summary>Kernel command line, at most 2047 bytes.</summary>
    public string CommandLine { get; init; } = "console=ttyS0 panic=-1";

    /// <summary>vCPUs, 1 to <see cref="MaxCpus"/>.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Bytes of guest memory; at least 2 MiB, rounded up to a page.</summary>
    public ulong MemoryBytes { get; init; } = 256UL << 20;

    /// <summary>virtio block devices in the order of /dev/vda, /dev/vdb and so on.</summary>
    public IReadOnlyList<DiskOptions> Disks { get; init; } = [];

    /// <summary>virtio network devices in the order of the guest's interfaces.</summary>
    public IReadOnlyList<NetOptions> Nets { get; init; } = [];

    /// <summary>A socket device between guest and host, or null.</summary>
    public VsockOptions? Vsock { get; init; }

    /// <summary>A virtio entropy device.</summary>
    public bool Rng { get; init; }

    /// <summary>How virtio devices are attached that do not say it themselves.</summary>
    public VirtioTransport Transport { get; init; }

    /// <summary>How the entropy device is attached; null as <see cref="Transport"/> says.</summary>
    public VirtioTransport? RngTransport { get; init; }

    /// <summary>How the virtio console is attached; null as <see cref="Transport"/> says.</summary>
    public VirtioTransport? ConsoleTransport { get; init; }

    /// <summary>A PCI host bridge even where no device needs it. Without any PCI device there is otherwise no PCI at all.</summary>
    public bool Pci { get; init; }

    /// <summary>PCI Express root ports, 0 to 16: each a slot with a bus of its own. More than 0 implies <see cref="Pci"/>.</summary>
    public int PciRootPorts { get; init; }

    /// <summary>PCI functions of the host that the guest gets, by their addresses there (<c>0000:00:03.0</c>); each bound to <c>vfio-pci</c>.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Assign devices also on a host that checks no interrupts, where a guest can send the host any interrupt: for guests that are trusted.</summary>
    public bool UnsafeInterrupts { get; init; }

    /// <summary>What the serial port (ttyS0) is connected to; <see cref="ConsoleEndpoint.None"/> leaves it out of the machine.</summary>
    public ConsoleEndpoint Serial { get; init; } = ConsoleEndpoint.None;

    /// <summary>What the virtio console (hvc0) is connected to.</summary>
    public ConsoleEndpoint Console { get; init; } = ConsoleEndpoint.None;

    /// <summary>Gets a line for each guest access of the chosen kinds; null to trace nothing.</summary>
    public TraceOptions? Trace { get; init; }

    /// <summary>Keeps unpacked kernels for the next start.</summary>
    public bool KernelCache { get; init; } = true;
}

/// <summary>A disk.</summary>
/// <param name="Path">Raw image or block device.</param>
/// <param name="ReadOnly">The guest cannot write it, and the file is opened so.</param>
/// <param name="Serial">Up to 20 ASCII characters that the guest can read, or null.</param>
/// <param name="Transport">How it is attached; null as <see cref="MachineOptions.Transport"/> says.</param>
/// <param name="RootPort">With PCI: the root port behind which it is, from 1; null for the root bus.</param>
public sealed record DiskOptions(string Path, bool ReadOnly = false, string? Serial = null, VirtioTransport? Transport = null, int? RootPort = null);

/// <summary>How a virtio device is attached.</summary>
public enum VirtioTransport
{
    /// <summary>Memory-mapped registers and a line of the I/O APIC: the quickest to boot.</summary>
    Mmio,
    /// <summary>A PCI function with MSI-X: an interrupt for each queue.</summary>
    Pci,
}

/// <summary>A network device: a tap by its name or as an open descriptor.</summary>
public sealed record NetOptions
{
    /// <summary>Name of a tap of the host.</summary>
    public string? Tap { get; init; }

    /// <summary>An open tap with IFF_VNET_HDR, or a socket that keeps packets apart; it stays the caller's. Instead of <see cref="Tap"/>.</summary>
    public int? Descriptor { get; init; }

    /// <summary>The guest's address, to which it is then held; null for a random one that the guest may change.</summary>
    public Virtio.Net.MacAddress? Mac { get; init; }

    /// <summary>Largest packet that the guest is told, 68 to 65,535 bytes; null to leave it to the guest (1,500).</summary>
    public ushort? Mtu { get; init; }

    /// <summary>How it is attached; null as <see cref="MachineOptions.Transport"/> says.</summary>
    public VirtioTransport? Transport { get; init; }

    /// <summary>The host's kernel moves the frames (vhost-net), not this process.</summary>
    public bool Vhost { get; init; }
}

/// <summary>A socket device. Its host end is this process or the host's kernel.</summary>
/// <param name="Cid">The guest's address, 3 to 4294967294.</param>
/// <param name="Socket">Path of the socket at which the host connects to the guest; a guest that connects to port P reaches the socket at this path with <c>_P</c> behind it. Null for AF_VSOCK sockets of the host (vhost-vsock).</param>
/// <param name="Transport">How it is attached; null as <see cref="MachineOptions.Transport"/> says.</param>
public sealed record VsockOptions(uint Cid, string? Socket, VirtioTransport? Transport = null);

/// <summary>Which accesses are traced, and to where.</summary>
/// <param name="Categories">Kinds: <c>mmio</c>, <c>pio</c>, <c>all</c>, or names of blocks such as <c>virtio-mmio</c>.</param>
/// <param name="Output">Gets one line an access.</param>
public sealed record TraceOptions(IReadOnlyCollection<string> Categories, TextWriter Output);

/// <summary>What a serial port or console is connected to.</summary>
public abstract record ConsoleEndpoint
{
    private ConsoleEndpoint() { }

    /// <summary>No device.</summary>
    public static ConsoleEndpoint None { get; } = new NoEndpoint();

    /// <summary>Input from standard input, output to standard output. A terminal stays in the mode that it is in: <c>microvm</c> makes it raw.</summary>
    public static ConsoleEndpoint StandardIo { get; } = new StandardIoEndpoint();

    /// <summary>Output only, to standard output.</summary>
    public static ConsoleEndpoint StandardOutput { get; } = new DescriptorEndpoint(-1, 1);

    /// <summary>A stream of this program: <see cref="Machine.SerialStream"/> or <see cref="Machine.ConsoleStream"/>.</summary>
    public static ConsoleEndpoint Stream { get; } = new StreamEndpoint();

    /// <summary>Output only, to a file that is created or emptied.</summary>
    public static ConsoleEndpoint File(string path) => new FileEndpoint(path);

    /// <summary>Open file descriptors, which stay the caller's; -1 for none.</summary>
    public static ConsoleEndpoint Descriptors(int input, int output) => new DescriptorEndpoint(input, output);

    internal sealed record NoEndpoint : ConsoleEndpoint;
    internal sealed record StandardIoEndpoint : ConsoleEndpoint;
    internal sealed record StreamEndpoint : ConsoleEndpoint;
    internal sealed record FileEndpoint(string Path) : ConsoleEndpoint;
    internal sealed record DescriptorEndpoint(int Input, int Output) : ConsoleEndpoint;
}
