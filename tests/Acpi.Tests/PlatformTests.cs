using MicroVm.Acpi;

namespace Acpi.Tests;

/// <summary>What <see cref="AcpiTables"/> promises, without the oracle.</summary>
public sealed class PlatformTests
{
    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes) sum += b;
        return sum;
    }

    [Theory]
    [InlineData(1, 0, true), InlineData(2, 3, true), InlineData(254, 32, true), InlineData(1000, 256, true), InlineData(1, 0, false), InlineData(8, 16, false)]
    public void EveryTableIsFoundAndAddsUpToZero(int cpus, int virtio, bool everything)
    {
        PlatformTables built = PlatformTables.Build(cpus, virtio, everything);
        Assert.Equal(everything ? ["APIC", "DSDT", "FACP", "MCFG", "RSDT", "XSDT"] : ["APIC", "DSDT", "FACP", "XSDT"], built.Tables.Keys.Order(StringComparer.Ordinal));
        Assert.All(built.Tables, static t => Assert.Equal(0, Sum(t.Value)));
        Assert.Equal("RSD PTR "u8, built.Bytes.AsSpan(0, 8));
        Assert.Equal(0, Sum(built.Bytes.AsSpan(0, 20)));
        Assert.Equal(0, Sum(built.Bytes.AsSpan(0, 36)));
        Assert.Equal(PlatformTables.Address, built.Rsdp);
    }

    [Fact]
    public void CpusFrom255OnAreX2Apics()
    {
        byte[] madt = PlatformTables.Build(257, 0).Tables["APIC"];
        int small = 0, large = 0;
        for (int at = 44; at < madt.Length; at += madt[at + 1])
        {
            if (madt[at] == 0) Assert.Equal(small++, madt[at + 3]);
            if (madt[at] == 9) Assert.Equal(255 + large++, BitConverter.ToInt32(madt, at + 4));
        }
        Assert.Equal((255, 2), (small, large));
    }

    // Written out by hand from ACPI 6.5, 5.2.32: Debian 12's iasl does not know the table. Linux reads it in tests/lab/cases/24-iommu.sh.
    [Fact]
    public void FunctionsBehindTheIommuAreTold()
    {
        var platform = new AcpiPlatform
        {
            CpuCount = 1, IoApicAddress = 0xFEC0_0000, Sleep = new(0x600, 0x601, 0x602), Pci = new(new(0xE000_0000, 0, 0), 0xC000_0000, 0x1000_0000, 0x40_0000_0000, 0x40_0000_0000),
            Iommu = 0x0008, BehindIommu = [new(0x0010, 0x0018), new(0x0100, 0x0100)],
        };
        byte[] viot = PlatformTables.Build(platform).Tables["VIOT"];
        byte[] expected =
        [
            3, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            3, 0, 16, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 24, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x18, 0, 48, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 24, 0, 0x00, 1, 0, 0, 0, 0, 0, 0, 0x00, 1, 0x00, 1, 48, 0, 0, 0, 0, 0, 0, 0,
        ];
        Assert.Equal(expected, viot[36..]);
        Assert.Equal((0, viot.Length), (Sum(viot), BitConverter.ToInt32(viot, 4)));
    }

    [Fact]
    public void CpusThatMayComeAreListedAndNotEnabled()
    {
        byte[] madt = PlatformTables.Build(2, 0).Tables["APIC"];
        List<(byte Id, int Flags)> cpus = [];
        for (int at = 44; at < madt.Length; at += madt[at + 1])
        {
            if (madt[at] == 0) cpus.Add((madt[at + 3], BitConverter.ToInt32(madt, at + 4)));
        }
        Assert.Equal([(0, 1), (1, 1), (2, 2), (3, 2)], cpus);
    }

    [Fact]
    public void BuildAllocatesNothing()
    {
        Span<AcpiMmioDevice> devices = stackalloc AcpiMmioDevice[32];
        var platform = new AcpiPlatform
        {
            CpuCount = 300, IoApicAddress = 0xFEC0_0000, Sleep = new(0x600, 0x601, 0x602), VirtioMmio = devices, Com1 = new(0x3F8, 1), Ged = new(0xFEB0_0000, 3),
            PvPanicPort = 0x505, Pci = new(new(0xE000_0000, 0, 255), 0xC000_0000, 0x1000_0000, 0x40_0000_0000, 0x40_0000_0000), WithRsdt = true,
        };
        byte[] buffer = new byte[AcpiTables.RequiredSize(platform)];
        AcpiTables.Build(platform, buffer, PlatformTables.Address);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++) AcpiTables.Build(platform, buffer, PlatformTables.Address);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void WhatTheBufferHeldBeforeIsGone()
    {
        var platform = new AcpiPlatform { CpuCount = 1, IoApicAddress = 0xFEC0_0000, Sleep = new(0x600, 0x601, 0x602) };
        byte[] clean = new byte[AcpiTables.RequiredSize(platform)], dirty = new byte[clean.Length];
        dirty.AsSpan().Fill(0xAA);
        AcpiTables.Build(platform, clean, PlatformTables.Address);
        AcpiTables.Build(platform, dirty, PlatformTables.Address);
        Assert.Equal(clean, dirty);
    }

    [Fact]
    public void WhatCannotBeDescribedIsRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(static () => Build(0, 0xE_0000, false, 0));
        Assert.Throws<ArgumentOutOfRangeException>(static () => Build(1, 0xE_0008, false, 0));
        Assert.Throws<ArgumentOutOfRangeException>(static () => Build(1, 0xE_0000, false, -1));
        Assert.Throws<ArgumentOutOfRangeException>(static () => Build(1, 0xFFFF_FFF0, true, 0));
        Assert.Equal(0xFFFF_FFF0ul, Build(1, 0xFFFF_FFF0, false, 0));
    }

    private static ulong Build(int cpus, ulong address, bool rsdt, int spare)
    {
        var platform = new AcpiPlatform { CpuCount = cpus, IoApicAddress = 0xFEC0_0000, Sleep = new(0x600, 0x601, 0x602), WithRsdt = rsdt };
        return AcpiTables.Build(platform, new byte[AcpiTables.RequiredSize(platform) + spare], address);
    }
}
