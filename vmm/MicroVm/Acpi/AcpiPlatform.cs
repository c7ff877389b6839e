namespace MicroVm.Acpi;

/// <summary>A device with ports and an interrupt line.</summary>
/// <param name="Port">First port.</param>
/// <param name="Irq">GSI of its line.</param>
internal readonly record struct AcpiPortDevice(ushort Port, uint Irq);

/// <summary>A device with registers in memory and an interrupt line.</summary>
/// <param name="Address">Guest address of its registers, below 4 GiB.</param>
/// <param name="Irq">GSI of its line.</param>
internal readonly record struct AcpiMmioDevice(uint Address, uint Irq);

/// <summary>A window of PCI Express configuration space.</summary>
/// <param name="Address">Guest address of bus 0's window.</param>
/// <param name="StartBus">First bus.</param>
/// <param name="EndBus">Last bus.</param>
internal readonly record struct AcpiEcam(ulong Address, byte StartBus, byte EndBus);

/// <summary>A run of PCI functions.</summary>
/// <param name="First">Requester id of the first.</param>
/// <param name="Last">And of the last.</param>
internal readonly record struct AcpiFunctionRange(ushort First, ushort Last);

/// <summary>The PCI host bridge.</summary>
/// <param name="Ecam">Configuration space, below 4 GiB.</param>
/// <param name="LowStart">Memory window below 4 GiB.</param>
/// <param name="LowLength">Bytes of it.</param>
/// <param name="HighStart">Memory window above RAM.</param>
/// <param name="HighLength">Bytes of it.</param>
internal readonly record struct AcpiPciHost(AcpiEcam Ecam, uint LowStart, uint LowLength, ulong HighStart, ulong HighLength);

/// <summary>A PCI slot behind a root port, which things go into and out of.</summary>
/// <param name="Address"><c>_ADR</c> of the port.</param>
/// <param name="Unit">Guest address of its block AcpiUnit.</param>
internal readonly record struct AcpiSlot(uint Address, uint Unit);

/// <summary>The ports of block AcpiSleep.</summary>
/// <param name="Control">Sleep control register.</param>
/// <param name="Status">Sleep status register.</param>
/// <param name="Reset">Reset register.</param>
internal readonly record struct AcpiSleepPorts(ushort Control, ushort Status, ushort Reset);

/// <summary>What the tables tell the guest. Addresses and lines come from the machine's map; an absent device is null.</summary>
internal readonly ref struct AcpiPlatform
{
    /// <summary>CPUs, with APIC ids from 0; 1 or more. Ids from 255 on get x2APIC entries.</summary>
    public required int CpuCount { get; init; }

    /// <summary>CPUs that there may be, at most 254, where they come and go; null where they stay. With <see cref="Ged"/>.</summary>
    public int? PossibleCpus { get; init; }

    /// <summary>Guest address of the block AcpiUnit of the first of them; the others follow.</summary>
    public uint CpuUnits { get; init; }

    /// <summary>Memory devices that there may be, at most 255. With <see cref="Ged"/>.</summary>
    public int Dimms { get; init; }

    /// <summary>Guest address of the block AcpiUnit of the first of them; the others follow.</summary>
    public uint DimmUnits { get; init; }

    /// <summary>Guest address of the block AcpiMemory of the first of them; the others follow.</summary>
    public uint DimmRanges { get; init; }

    /// <summary>Guest address of the I/O APIC, whose first line is GSI 0.</summary>
    public required uint IoApicAddress { get; init; }

    /// <summary>APIC id of the I/O APIC.</summary>
    public byte IoApicId { get; init; }

    /// <summary>Ports for power-off and reset.</summary>
    public required AcpiSleepPorts Sleep { get; init; }

    /// <summary>Serial console.</summary>
    public AcpiPortDevice? Com1 { get; init; }

    /// <summary>Generic Event Device, and with it the power button.</summary>
    public AcpiMmioDevice? Ged { get; init; }

    /// <summary>Port of pvpanic.</summary>
    public ushort? PvPanicPort { get; init; }

    /// <summary>Devices on virtio-mmio, at most 256; their order numbers them.</summary>
    public ReadOnlySpan<AcpiMmioDevice> VirtioMmio { get; init; }

    /// <summary>PCI Express host bridge; with it there is an MCFG.</summary>
    public AcpiPciHost? Pci { get; init; }

    /// <summary>Slots of the root ports, at most 255; their order numbers them from 1. With <see cref="Pci"/> and <see cref="Ged"/>.</summary>
    public ReadOnlySpan<AcpiSlot> Slots { get; init; }

    /// <summary>GSI of pin A of the functions on bus 0; null where none has a pin.</summary>
    public uint? PciLine { get; init; }

    /// <summary>Requester id of the IOMMU, a virtio function; null without one. With it there is a VIOT.</summary>
    public ushort? Iommu { get; init; }

    /// <summary>Functions behind the IOMMU: runs of requester ids, in order, the IOMMU's not among them.</summary>
    public ReadOnlySpan<AcpiFunctionRange> BehindIommu { get; init; }

    /// <summary>PCI Express configuration space.</summary>
    public AcpiEcam? Ecam => Pci?.Ecam;

    /// <summary>An RSDT too, for guests that know only ACPI 1.0. The tables must then stand below 4 GiB.</summary>
    public bool WithRsdt { get; init; }
}
