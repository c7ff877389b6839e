namespace MicroVm;

/// <summary>A virtio device: what is common to all kinds.</summary>
public abstract record VirtioOptions
{
    private protected VirtioOptions() { }

    /// <summary>Name by which it is removed or resized while the guest runs; unique in a machine. Null for one that nobody names.</summary>
    public string? Id { get; init; }

    /// <summary>How it is attached; null as <see cref="MachineOptions.Transport"/> says.</summary>
    public VirtioTransport? Transport { get; init; }

    /// <summary>With PCI: the root port behind which it is, from 1; null for the root bus. Implies <see cref="VirtioTransport.Pci"/>.</summary>
    public int? RootPort { get; init; }
}

/// <summary>How a virtio device is attached.</summary>
public enum VirtioTransport
{
    /// <summary>Memory-mapped registers and a line of the I/O APIC: the quickest to boot.</summary>
    Mmio,
    /// <summary>A PCI function with MSI-X: an interrupt for each queue.</summary>
    Pci,
}

/// <summary>A disk.</summary>
/// <param name="Path">Raw image or block device; with <see cref="VhostUser"/> a socket.</param>
public sealed record DiskOptions(string Path) : VirtioOptions
{
    /// <summary>Another process serves the disk (vhost-user): <c>Path</c> is the socket at which it listens. Whether the guest can write, and the serial number, are then that process's to say.</summary>
    public bool VhostUser { get; init; }

    /// <summary>The guest cannot write it, and the file is opened so.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Up to 20 ASCII characters that the guest can read; null for ones made of the file's identity.</summary>
    public string? Serial { get; init; }

    /// <summary>Request queues, 1 to <see cref="MaxQueues"/>, each with a thread; as many as the guest has vCPUs are of use.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Most request queues.</summary>
    public const int MaxQueues = 64;

    /// <summary>How much may be read and written.</summary>
    public RateLimits Limits { get; init; }

    /// <summary>What moves the data.</summary>
    public DiskEngine Engine { get; init; }
}

/// <summary>What moves the data of a disk.</summary>
public enum DiskEngine
{
    /// <summary>io_uring, and threads where the host denies it.</summary>
    Auto,
    /// <summary>io_uring, or the machine does not start.</summary>
    IoUring,
    /// <summary>Reads and writes on a thread for each queue.</summary>
    Threads,
}

/// <summary>A network device: one of <see cref="Tap"/>, <see cref="Descriptors"/>, <see cref="Socket"/>, <see cref="VhostUser"/> and <see cref="Passt"/> is its host end.</summary>
public sealed record NetOptions : VirtioOptions
{
    /// <summary>Name of a tap of the host.</summary>
    public string? Tap { get; init; }

    /// <summary>An open tap with IFF_VNET_HDR, or a socket that keeps packets apart; several are queues of one tap. They stay the caller's.</summary>
    public IReadOnlyList<int> Descriptors { get; init; } = [];

    /// <summary>Path at which a program takes frames in a stream, each behind its length: passt, or QEMU's <c>-netdev stream</c>.</summary>
    public string? Socket { get; init; }

    /// <summary>User-mode networking: a passt of its own, which ends with the device.</summary>
    public PasstOptions? Passt { get; init; }

    /// <summary>What each direction is held to: bytes, from the Ethernet header on, and frames. A large frame that is cut later counts once.</summary>
    public RateLimits Limits { get; init; }

    /// <summary>How many host ends were given, of which a device needs exactly one.</summary>
    internal int HostEnds => (Tap is null ? 0 : 1) + (Descriptors.Count == 0 ? 0 : 1) + (Socket is null ? 0 : 1) + (Passt is null ? 0 : 1) + (VhostUser is null ? 0 : 1);

    /// <summary>How many pairs of queues that makes.</summary>
    internal int Pairs => Math.Max(Queues, Descriptors.Count);

    /// <summary>Whether the host end is a tap, as the host's kernel needs to move the frames.</summary>
    internal bool HasTap => (Socket ?? VhostUser ?? (object?)Passt) is null;

    /// <summary>Pairs of queues, for a tap by its name: at most one for each vCPU. Each has a thread, and the host's kernel keeps the frames of a flow together.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Socket of a backend that moves the frames (vhost-user). Instead of a tap.</summary>
    public string? VhostUser { get; init; }

    /// <summary>The guest's address, to which it is then held; null for a random one that the guest may change.</summary>
    public Virtio.Net.MacAddress? Mac { get; init; }

    /// <summary>Largest packet that the guest is told, 68 to 65,535 bytes; null to leave it to the guest (1,500).</summary>
    public ushort? Mtu { get; init; }

    /// <summary>The host's kernel moves the frames (vhost-net), not this process.</summary>
    public bool Vhost { get; init; }
}

/// <summary>What a passt is started with beyond its defaults: the guest gets this host's address and reaches what this host reaches.</summary>
public sealed record PasstOptions
{
    /// <summary>TCP ports of the host that lead to the guest, as passt writes them: <c>8080:80</c>, <c>22</c>, <c>5000-5010</c>.</summary>
    public IReadOnlyList<string> Tcp { get; init; } = [];

    /// <summary>UDP ports, likewise.</summary>
    public IReadOnlyList<string> Udp { get; init; } = [];
}

/// <summary>A socket device. Its host end is this process or the host's kernel.</summary>
/// <param name="Cid">The guest's address, 3 to 4294967294.</param>
/// <param name="Socket">Path of the socket at which the host connects to the guest; a guest that connects to port P reaches the socket at this path with <c>_P</c> behind it. Null for AF_VSOCK sockets of the host (vhost-vsock).</param>
public sealed record VsockOptions(uint Cid, string? Socket) : VirtioOptions;

/// <summary>An entropy device.</summary>
public sealed record RngOptions : VirtioOptions;

/// <summary>A balloon, by which the guest gives memory back to the host while it runs. Not together with <see cref="MachineOptions.Devices"/>, which hold the pages.</summary>
public sealed record BalloonOptions : VirtioOptions
{
    /// <summary>Bytes that the guest is asked to give up at first.</summary>
    public ulong TargetBytes { get; init; }

    /// <summary>The guest takes pages back before it kills a program for lack of memory.</summary>
    public bool DeflateOnOom { get; init; }

    /// <summary>The guest reports memory that is free for longer by itself, and gets it back when it needs it.</summary>
    public bool FreePageReporting { get; init; }

    /// <summary>The guest's own figures are asked for that often, in seconds; 0 for only when <see cref="Machine.Balloon"/> is read.</summary>
    public uint StatisticsSeconds { get; init; }
}

/// <summary>Memory that the guest gets and gives back in blocks while it runs (virtio-mem). Not together with <see cref="MachineOptions.Devices"/>.</summary>
/// <param name="SizeBytes">Most that it can have; a multiple of <see cref="BlockBytes"/>.</param>
public sealed record MemOptions(ulong SizeBytes) : VirtioOptions
{
    /// <summary>Least size of a block.</summary>
    public const ulong LeastBlock = 2UL << 20;

    /// <summary>Bytes that the guest should have of it at first.</summary>
    public ulong RequestedBytes { get; init; }

    /// <summary>Bytes of a block, a power of two.</summary>
    public ulong BlockBytes { get; init; } = LeastBlock;
}

/// <summary>A file of the host as persistent memory of the guest (virtio-pmem): /dev/pmem0.</summary>
/// <param name="Path">A regular file of whole 2 MiB.</param>
public sealed record PmemOptions(string Path) : VirtioOptions
{
    /// <summary>The guest cannot change the file, and it is opened so.</summary>
    public bool ReadOnly { get; init; }
}

/// <summary>A folder of the host (virtio-fs), served by a backend such as virtiofsd.</summary>
/// <param name="Tag">Name by which the guest mounts it, 1 to 36 bytes.</param>
/// <param name="Socket">Where the backend listens (vhost-user).</param>
public sealed record FsOptions(string Tag, string Socket) : VirtioOptions
{
    /// <summary>Queues for requests, 1 to 64; the backend must serve as many.</summary>
    public int RequestQueues { get; init; } = 1;
}
