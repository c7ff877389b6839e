namespace MicroVm;

/// <summary>What to boot and with which devices. Validated by <see cref="Machine.Create"/>.</summary>
public sealed record MachineOptions
{
    /// <summary>Most vCPUs of one machine.</summary>
    public const int MaxCpus = 64;

    /// <summary>What the machine is called where several are told apart; null for nothing.</summary>
    public string? Name { get; init; }

    /// <summary>Kernel file: bzImage of any compression, or ELF.</summary>
    public required string Kernel { get; init; }

    /// <summary>Initial RAM disk file.</summary>
    public string? Initrd { get; init; }

    /// <summary>Kernel command line, at most 2047 bytes.</summary>
    public string CommandLine { get; init; } = "console=ttyS0";

    /// <summary>vCPUs, 1 to <see cref="MaxCpus"/>.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>vCPUs that there may be (<see cref="Machine.ResizeCpus"/>), <see cref="Cpus"/> to <see cref="MaxCpus"/>; null for no more than at start, and no less.</summary>
    public int? PossibleCpus { get; init; }

    /// <summary>Bytes of guest memory; at least 2 MiB, rounded up to a page.</summary>
    public ulong MemoryBytes { get; init; } = 256UL << 20;

    /// <summary>Bytes of memory that there may be with DIMMs that come while the guest runs (<see cref="Machine.AddMemory"/>), at least <see cref="MemoryBytes"/>; null for no DIMMs.</summary>
    public ulong? PossibleMemoryBytes { get; init; }

    /// <summary>virtio devices. The guest numbers those of a kind in this order: /dev/vda, /dev/vdb and so on.</summary>
    public IReadOnlyList<VirtioOptions> Virtio { get; init; } = [];

    /// <summary>How virtio devices are attached that do not say it themselves.</summary>
    public VirtioTransport Transport { get; init; }

    /// <summary>How the virtio console is attached; null as <see cref="Transport"/> says.</summary>
    public VirtioTransport? ConsoleTransport { get; init; }

    /// <summary>A PCI host bridge even where no device needs it. Without any PCI device there is otherwise no PCI at all.</summary>
    public bool Pci { get; init; }

    /// <summary>PCI Express root ports, 0 to 16: each a slot with a bus of its own. More than 0 implies <see cref="Pci"/>.</summary>
    public int PciRootPorts { get; init; }

    /// <summary>The guest may have guests of its own (VMX, SVM), where the host's KVM allows it. Off, as it is the
    /// largest part of KVM that a guest reaches.</summary>
    public bool Nested { get; init; }

    /// <summary>An IOMMU for the guest (virtio-iommu), with the virtio functions on PCI and the assigned ones behind it. Implies <see cref="Pci"/>.</summary>
    public bool Iommu { get; init; }

    /// <summary>PCI functions of the host that the guest gets, by their addresses there (<c>0000:00:03.0</c>); each bound to <c>vfio-pci</c>.
    /// With <c>,group=FD,container=FD</c> behind it: open descriptors of its group and of <c>/dev/vfio/vfio</c>, which stay the caller's. With <c>,iommufd=on</c>: by the device's own file and <c>/dev/iommu</c>; open descriptors of these are
    /// <c>,cdev=FD,iommufd=FD</c>. <c>,iommufd=off</c>: by its group; without either so too, unless the host's kernel has files of devices alone.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Assign devices also on a host that checks no interrupts, where a guest can send the host any interrupt: for guests that are trusted.</summary>
    public bool UnsafeInterrupts { get; init; }

    /// <summary>What the serial port (ttyS0) is connected to; <see cref="ConsoleEndpoint.None"/> leaves it out of the machine.</summary>
    public ConsoleEndpoint Serial { get; init; } = ConsoleEndpoint.None;

    /// <summary>What the virtio console (hvc0) is connected to.</summary>
    public ConsoleEndpoint Console { get; init; } = ConsoleEndpoint.None;

    /// <summary>Named ports beside the console, at most <see cref="ConsolePortOptions.MaxPorts"/>: <c>/dev/virtio-ports/NAME</c> in the guest.</summary>
    public IReadOnlyList<ConsolePortOptions> Ports { get; init; } = [];

    /// <summary>How long the end of the machine waits for a reader of its output that takes nothing; one that takes
    /// some is waited for until it has all. <see cref="Machine.Stop(string)"/> makes it 2 seconds.</summary>
    public TimeSpan OutputPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Gets a line for each guest access of the chosen kinds; null to trace nothing.</summary>
    public TraceOptions? Trace { get; init; }

    /// <summary>Keeps unpacked kernels for the next start.</summary>
    public bool KernelCache { get; init; } = true;
}

/// <summary>Which accesses are traced, and to where.</summary>
/// <param name="Categories">Kinds: <c>mmio</c>, <c>pio</c>, <c>all</c>, or names of blocks such as <c>virtio-mmio</c>.</param>
/// <param name="Output">Gets one line an access.</param>
public sealed record TraceOptions(IReadOnlyCollection<string> Categories, TextWriter Output);

/// <summary>A named port of the virtio console device.</summary>
/// <param name="Name">What the guest finds it by: 1 to <see cref="MaxName"/> ASCII characters without a slash.</param>
/// <param name="Endpoint">What it is connected to.</param>
public sealed record ConsolePortOptions(string Name, ConsoleEndpoint Endpoint)
{
    /// <summary>Longest name.</summary>
    public const int MaxName = 64;

    /// <summary>Most named ports of one machine.</summary>
    public const int MaxPorts = 14;

    internal static bool IsName(string name) => name.Length is > 0 and <= MaxName && name.All(static c => c is > ' ' and < '\x7f' and not '/');
}

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

    /// <summary>One client at a time at a socket that is made at <paramref name="path"/>, at most 107 bytes, for this user alone. Output with nobody there is dropped.</summary>
    public static ConsoleEndpoint Socket(string path) => new SocketEndpoint(path);

    /// <summary>Open file descriptors, which stay the caller's; -1 for none.</summary>
    public static ConsoleEndpoint Descriptors(int input, int output) => new DescriptorEndpoint(input, output);

    internal sealed record NoEndpoint : ConsoleEndpoint;
    internal sealed record StandardIoEndpoint : ConsoleEndpoint;
    internal sealed record StreamEndpoint : ConsoleEndpoint;
    internal sealed record FileEndpoint(string Path) : ConsoleEndpoint;
    internal sealed record SocketEndpoint(string Path) : ConsoleEndpoint;
    internal sealed record DescriptorEndpoint(int Input, int Output) : ConsoleEndpoint;
}
