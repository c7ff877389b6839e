using MicroVm.Devices;

namespace MicroVm.Acpi;

/// <summary>Puts the machine's ACPI tables together in the caller's buffer. It allocates nothing.</summary>
internal static class AcpiTables
{
    /// <summary>Tables begin at multiples of this; the RSDP must (ACPI 6.5, 5.2.5.1), the others like it.</summary>
    public const int Alignment = 16;

    /// <summary>Local APICs have 8-bit ids, and 255 means all of them.</summary>
    private const int FirstX2ApicId = 255;

    /// <summary>Bytes that <see cref="Build"/> needs for <paramref name="platform"/>.</summary>
    public static int RequiredSize(in AcpiPlatform platform)
    {
        int size = Align(RsdpTable.Size) + Align(XsdtTable.Size + TableCount(platform) * XsdtTable.Pointer.Size);
        if (platform.WithRsdt) size += Align(RsdtTable.Size + TableCount(platform) * RsdtTable.Pointer.Size);
        if (platform.Ecam is not null) size += Align(McfgTable.Size + McfgTable.Allocation.Size);
        if (platform.Iommu is not null) size += Align(ViotSize(platform));
        return size + Align(FadtTable.Size) + Align(MadtSize(platform)) + Align(DsdtSize(platform));
    }

    /// <summary>Writes the RSDP to the beginning of <paramref name="destination"/> and the tables behind it.</summary>
    /// <param name="platform">What the machine has.</param>
    /// <param name="destination">At least <see cref="RequiredSize"/> bytes of guest memory, or a copy of it.</param>
    /// <param name="guestAddress">Guest address of <paramref name="destination"/>, a multiple of <see cref="Alignment"/>.</param>
    /// <returns>Guest address of the RSDP.</returns>
    /// <exception cref="ArgumentException">The buffer is too short or badly aligned, or the platform cannot be described.</exception>
    public static ulong Build(in AcpiPlatform platform, Span<byte> destination, ulong guestAddress)
    {
        Check(platform, destination, guestAddress);
        // Headers go in front of the tables that they point to, so the tables' places are known first.
        int at = Align(RsdpTable.Size);
        int xsdt = at;
        at += Align(XsdtTable.Size + TableCount(platform) * XsdtTable.Pointer.Size);
        int rsdt = at;
        if (platform.WithRsdt) at += Align(RsdtTable.Size + TableCount(platform) * RsdtTable.Pointer.Size);
        int fadt = at;
        int madt = fadt + Align(FadtTable.Size);
        int mcfg = madt + Align(WriteMadt(platform, destination[madt..]));
        int viot = platform.Ecam is { } ecam ? mcfg + Align(WriteMcfg(ecam, destination[mcfg..])) : mcfg;
        int dsdt = platform.Iommu is { } iommu ? viot + Align(WriteViot(platform, iommu, destination[viot..])) : viot;
        WriteDsdt(platform, destination[dsdt..]);
        FadtTable.Write(destination[fadt..], new()
        {
            ResetRegister = platform.Sleep.Reset,
            SleepControl = platform.Sleep.Control,
            SleepStatus = platform.Sleep.Status,
            XDsdt = guestAddress + (uint)dsdt,
        });

        Span<int> offsets = stackalloc int[4];
        int count = 0;
        offsets[count++] = fadt;
        offsets[count++] = madt;
        if (platform.Ecam is not null) offsets[count++] = mcfg;
        if (platform.Iommu is not null) offsets[count++] = viot;
        offsets = offsets[..count];
        WriteXsdt(destination[xsdt..], guestAddress, offsets);
        if (platform.WithRsdt) WriteRsdt(destination[rsdt..], guestAddress, offsets);
        RsdpTable.Write(destination, new()
        {
            RsdtAddress = platform.WithRsdt ? (uint)(guestAddress + (uint)rsdt) : 0,
            XsdtAddress = guestAddress + (uint)xsdt,
        });
        return guestAddress;
    }

    private static int Align(int size) => (size + Alignment - 1) & -Alignment;

    private static void Check(in AcpiPlatform platform, Span<byte> destination, ulong guestAddress)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(platform.CpuCount, 1, "platform.CpuCount");
        ArgumentOutOfRangeException.ThrowIfGreaterThan(platform.VirtioMmio.Length, 256, "platform.VirtioMmio");
        ArgumentOutOfRangeException.ThrowIfGreaterThan(platform.PossibleCpus ?? 0, FirstX2ApicId - 1, "platform.PossibleCpus");
        ArgumentOutOfRangeException.ThrowIfGreaterThan(platform.Slots.Length, byte.MaxValue, "platform.Slots");
        ArgumentOutOfRangeException.ThrowIfGreaterThan(platform.Dimms, byte.MaxValue, "platform.Dimms");
        ArgumentOutOfRangeException.ThrowIfNotEqual(guestAddress % Alignment, 0ul, nameof(guestAddress));
        int size = RequiredSize(platform);
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, size, nameof(destination));
        if (platform.WithRsdt) ArgumentOutOfRangeException.ThrowIfGreaterThan(guestAddress + (uint)size, 1ul << 32, nameof(guestAddress));
        // Holes between the tables are the guest's to read: nothing of the host's may be left in them.
        destination[..size].Clear();
    }

    /// <summary>Tables that the XSDT names; the DSDT is the FADT's.</summary>
    private static int TableCount(in AcpiPlatform platform) => 2 + (platform.Ecam is null ? 0 : 1) + (platform.Iommu is null ? 0 : 1);

    private static int ViotSize(in AcpiPlatform platform) => ViotTable.Size + ViotTable.Iommu.Size + platform.BehindIommu.Length * ViotTable.PciRange.Size;

    // The IOMMU's node comes first: the others name it by its offset. Endpoints are numbered by their requester ids.
    private static int WriteViot(in AcpiPlatform platform, ushort iommu, Span<byte> table)
    {
        int at = ViotTable.Write(table, new() { Count = (ushort)(1 + platform.BehindIommu.Length) });
        ushort node = (ushort)at;
        at += ViotTable.Iommu.Write(table[at..], new() { Function = iommu });
        foreach (AcpiFunctionRange range in platform.BehindIommu)
            at += ViotTable.PciRange.Write(table[at..], new() { EndpointStart = range.First, First = range.First, Last = range.Last, Output = node });
        AcpiBytes.Finish(table[..at]);
        return at;
    }

    /// <summary>CPUs that the MADT names: those that there may be.</summary>
    private static int Listed(in AcpiPlatform platform) => Math.Max(platform.CpuCount, platform.PossibleCpus ?? 0);

    private static int MadtSize(in AcpiPlatform platform)
    {
        int listed = Listed(platform), small = Math.Min(listed, FirstX2ApicId), large = listed - small;
        return MadtTable.Size + MadtTable.IoApic.Size + MadtTable.LocalApicNmi.Size + small * MadtTable.LocalApic.Size
            + large * MadtTable.LocalX2Apic.Size + (large > 0 ? MadtTable.LocalX2ApicNmi.Size : 0);
    }

    private static int WriteMadt(in AcpiPlatform platform, Span<byte> table)
    {
        int at = MadtTable.Write(table);
        int listed = Listed(platform), small = Math.Min(listed, FirstX2ApicId);
        for (int id = 0; id < small; id++)
        {
            MadtTable.LocalApic.FlagsBits flags = id < platform.CpuCount ? MadtTable.LocalApic.FlagsBits.Enabled : MadtTable.LocalApic.FlagsBits.OnlineCapable;
            at += MadtTable.LocalApic.Write(table[at..], new() { Uid = (byte)id, ApicId = (byte)id, Flags = flags });
        }
        for (int id = small; id < listed; id++)
            at += MadtTable.LocalX2Apic.Write(table[at..], new() { Uid = (uint)id, ApicId = (uint)id, Flags = MadtTable.LocalX2Apic.FlagsBits.Enabled });
        at += MadtTable.IoApic.Write(table[at..], new() { Id = platform.IoApicId, Address = platform.IoApicAddress, GsiBase = 0 });
        at += MadtTable.LocalApicNmi.Write(table[at..]);
        if (listed > small) at += MadtTable.LocalX2ApicNmi.Write(table[at..]);
        AcpiBytes.Finish(table[..at]);
        return at;
    }

    private static int WriteMcfg(AcpiEcam ecam, Span<byte> table)
    {
        int at = McfgTable.Write(table);
        at += McfgTable.Allocation.Write(table[at..], new() { BaseAddress = ecam.Address, Segment = 0, StartBus = ecam.StartBus, EndBus = ecam.EndBus });
        AcpiBytes.Finish(table[..at]);
        return at;
    }

    private static int DsdtSize(in AcpiPlatform platform) =>
        DsdtAml.Size
        + (platform.Com1 is null ? 0 : SerialAml.Size)
        + (platform.Ged is null ? 0 : GedAml.Size)
        + (platform.PvPanicPort is null ? 0 : PvpanicAml.Size)
        + (platform.Pci is null ? 0 : PciAml.Size)
        + (platform.PciLine is null ? 0 : PciIntxAml.Size)
        + platform.Slots.Length * SlotsAml.Slot.Size
        + (platform.PossibleCpus is { } cpus ? CpusAml.Size + cpus * CpusAml.Cpu.Size : 0)
        + platform.Dimms * MemoryAml.Dimm.Size
        + platform.VirtioMmio.Length * VirtioAml.Device.Size;

    /// <summary>One table: each further SSDT would be loaded, checked and named on its own.</summary>
    private static void WriteDsdt(in AcpiPlatform platform, Span<byte> table)
    {
        int at = DsdtAml.Write(table);
        if (platform.Com1 is { } com1) at += SerialAml.Write(table[at..], new() { Port = com1.Port, Irq = com1.Irq });
        if (platform.Ged is { } ged) at += GedAml.Write(table[at..], new() { GedBase = ged.Address, GedIrq = ged.Irq, CpuHead = (byte)(platform.PossibleCpus ?? 0), MemoryHead = (byte)platform.Dimms, SlotHead = (byte)platform.Slots.Length });
        if (platform.PvPanicPort is { } port) at += PvpanicAml.Write(table[at..], new() { Port = port });
        if (platform.Pci is { } pci) at += WritePci(pci, table[at..]);
        if (platform.PciLine is { } line) at += PciIntxAml.Write(table[at..], new() { Gsi = line });
        if (platform.PossibleCpus is { } cpus) at += WriteCpus(cpus, platform.CpuUnits, table[at..]);
        for (int i = 0; i < platform.Slots.Length; i++)
        {
            AcpiSlot slot = platform.Slots[i];
            at += SlotsAml.Slot.Write(table[at..], new() { Number = (byte)(i + 1), Before = (byte)i, Address = slot.Address, Base = slot.Unit });
        }
        for (int i = 0; i < platform.Dimms; i++)
            at += MemoryAml.Dimm.Write(table[at..], new() { Index = (byte)i, Number = (byte)(i + 1), Before = (byte)i, Base = platform.DimmUnits + (uint)i * AcpiUnit.Size, Range = platform.DimmRanges + (uint)i * AcpiMemory.Size });
        for (int i = 0; i < platform.VirtioMmio.Length; i++)
        {
            AcpiMmioDevice device = platform.VirtioMmio[i];
            at += VirtioAml.Device.Write(table[at..], new() { Index = (byte)i, Base = device.Address, Irq = device.Irq });
        }
        AcpiBytes.Finish(table[..at]);
    }

    private static int WriteCpus(int cpus, uint units, Span<byte> aml)
    {
        int at = CpusAml.Write(aml);
        for (int i = 0; i < cpus; i++)
            at += CpusAml.Cpu.Write(aml[at..], new() { Uid = (byte)i, Number = (byte)(i + 1), Before = (byte)i, Base = units + (uint)i * AcpiUnit.Size });
        return at;
    }

    private static int WritePci(in AcpiPciHost pci, Span<byte> aml)
    {
        ushort buses = (ushort)(pci.Ecam.EndBus - pci.Ecam.StartBus + 1);
        return PciAml.Write(aml, new()
        {
            EcamBase = (uint)pci.Ecam.Address,
            EcamLength = (uint)(buses * PciConst.BusSize),
            BusLast = pci.Ecam.EndBus,
            BusLength = buses,
            LowStart = pci.LowStart,
            LowLast = pci.LowStart + pci.LowLength - 1,
            LowLength = pci.LowLength,
            HighStart = pci.HighStart,
            HighLast = pci.HighStart + pci.HighLength - 1,
            HighLength = pci.HighLength,
        });
    }

    private static void WriteXsdt(Span<byte> table, ulong guestAddress, ReadOnlySpan<int> offsets)
    {
        int at = XsdtTable.Write(table);
        foreach (int offset in offsets) at += XsdtTable.Pointer.Write(table[at..], new() { Address = guestAddress + (uint)offset });
        AcpiBytes.Finish(table[..at]);
    }

    private static void WriteRsdt(Span<byte> table, ulong guestAddress, ReadOnlySpan<int> offsets)
    {
        int at = RsdtTable.Write(table);
        foreach (int offset in offsets) at += RsdtTable.Pointer.Write(table[at..], new() { Address = (uint)(guestAddress + (uint)offset) });
        AcpiBytes.Finish(table[..at]);
    }
}
