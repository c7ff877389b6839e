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
/// <param name="Path">Raw image or block device.</param>
public sealed record DiskOptions(string Path) : VirtioOptions
{
    /// <summary>The guest cannot write it, and the file is opened so.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Up to 20 ASCII characters that the guest can read; null for ones made of the file's identity.</summary>
    public string? Serial { get; init; }
}

/// <summary>A network device: a tap by its name or as an open descriptor.</summary>
public sealed record NetOptions : VirtioOptions
{
    /// <summary>Name of a tap of the host.</summary>
    public string? Tap { get; init; }

    /// <summary>An open tap with IFF_VNET_HDR, or a socket that keeps packets apart; it stays the caller's. Instead of <see cref="Tap"/>.</summary>
    public int? Descriptor { get; init; }

    /// <summary>The guest's address, to which it is then held; null for a random one that the guest may change.</summary>
    public Virtio.Net.MacAddress? Mac { get; init; }

    /// <summary>Largest packet that the guest is told, 68 to 65,535 bytes; null to leave it to the guest (1,500).</summary>
    public ushort? Mtu { get; init; }

    /// <summary>The host's kernel moves the frames (vhost-net), not this process.</summary>
    public bool Vhost { get; init; }
}

/// <summary>A socket device. Its host end is this process or the host's kernel.</summary>
/// <param name="Cid">The guest's address, 3 to 4294967294.</param>
/// <param name="Socket">Path of the socket at which the host connects to the guest; a guest that connects to port P reaches the socket at this path with <c>_P</c> behind it. Null for AF_VSOCK sockets of the host (vhost-vsock).</param>
public sealed record VsockOptions(uint Cid, string? Socket) : VirtioOptions;

/// <summary>An entropy device.</summary>
public sealed record RngOptions : VirtioOptions;
