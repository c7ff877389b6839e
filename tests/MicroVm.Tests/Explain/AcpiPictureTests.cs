using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Diagnostics.Explain;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Explain;

/// <summary>ACPI tables as explain reads them out of guest memory: as they were put there, and after the guest wrote over them.</summary>
public sealed class AcpiPictureTests : IDisposable
{
    private readonly GuestMemory _memory = GuestMemory.Allocate(16 << 20, Devices.MachineMap.LowMemory.End, Devices.MachineMap.HighMemory.Start);
    private readonly HostRange _area;

    public AcpiPictureTests()
    {
        Assert.True(_memory.TryRange(BootLayout.Acpi, BootLayout.AcpiSize, out _area));
        AcpiMmioDevice[] virtio = [new(0xd000_0000, 4), new(0xd000_1000, 5)];
        AcpiPlatform platform = new()
        {
            CpuCount = 2, IoApicAddress = 0xfec0_0000, Sleep = new AcpiSleepPorts(0x600, 0x601, 0x602), Com1 = new AcpiPortDevice(0x3f8, 1),
            Ged = new AcpiMmioDevice(0xfeb0_0000, 3), PvPanicPort = 0x505, VirtioMmio = virtio,
            Pci = new AcpiPciHost(new AcpiEcam(0xe000_0000, 0, 1), 0xc000_0000, 0x1000_0000, 0x40_0000_0000, 0x40_0000_0000),
        };
        AcpiTables.Build(platform, _area.Span, BootLayout.Acpi);
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Every_byte_of_every_table_comes_from_a_declaration()
    {
        List<Section> picture = Picture();
        Assert.Equal(["RSD PTR", "XSDT", "FACP", "DSDT", "APIC", "MCFG"], picture[0].Rows.Select(static r => (string)r[0]!));
        Assert.All(picture[0].Rows, static r => Assert.Equal("good", r[4]));
        Assert.DoesNotContain(picture[1].Rows, static r => (string)r[3]! == "?");
        Assert.DoesNotContain(picture[2].Rows, static r => (string)r[2]! == "?");
    }

    [Fact]
    public void Lines_are_those_of_the_definitions()
    {
        List<Section> picture = Picture();
        object?[] flags = picture[1].Rows.Single(static r => (string)r[0]! == "FACP" && (string)r[3]! == "Flags");
        Assert.Contains("HardwareReduced", (string)flags[4]!, StringComparison.Ordinal);
        Assert.Contains("Flags", Line((string)flags[5]!), StringComparison.Ordinal);
        foreach (object?[] row in picture[2].Rows)
        {
            string name = ((string)row[2]!).Split('.')[^1], line = Line((string)row[4]!);
            // The names of repeated devices have their number in a slot.
            Assert.Contains(name.StartsWith("VR", StringComparison.Ordinal) ? "VR${Index}" : name, line, StringComparison.Ordinal);
        }
        object?[] second = picture[2].Rows.Single(static r => (string)r[2]! == "\\_SB.VR01._CRS");
        Assert.Equal("Base 0xd0001000 Irq 0x5", second[5]);
    }

    [Fact]
    public void A_changed_byte_of_AML_is_said_and_what_is_behind_it_is_not_guessed()
    {
        object?[] dsdt = Picture()[0].Rows.Single(static r => (string)r[0]! == "DSDT");
        ulong at = Convert.ToUInt64((string)dsdt[1]!, 16);
        Assert.True(_memory.TryRead(at + 60, out byte old));
        Assert.True(_memory.TryWrite(at + 60, (byte)(old ^ 0xff)));
        List<Section> picture = Picture();
        Assert.Equal("bad", picture[0].Rows.Single(static r => (string)r[0]! == "DSDT")[4]);
        Assert.Equal("?", picture[2].Rows[^1][2]);
        Assert.Contains("not as declared", (string)picture[2].Rows[^1][3]!, StringComparison.Ordinal);
    }

    [Fact]
    public void A_table_of_nothing_but_small_objects_is_listed_in_part()
    {
        AcpiSource[] units = AcpiCatalog.Units();
        byte[] head = Array.Find(units, static u => u.Template.AsSpan().StartsWith("DSDT"u8))!.Template;
        byte[] small = units.Where(static u => u.Template.Length != 0).MinBy(static u => u.Template.Length)!.Template;
        byte[] table = new byte[1 << 20];
        head.CopyTo(table, 0);
        for (int at = head.Length; at + small.Length <= table.Length; at += small.Length) small.CopyTo(table, at);
        BitConverter.TryWriteBytes(table.AsSpan(4), table.Length);
        Assert.True(_memory.TryWrite(0x20_0000, table));
        Assert.True(_memory.TryRead(BootLayout.Acpi + 24, out ulong xsdt));
        // The list has it as often as it can.
        Assert.True(_memory.TryWrite(xsdt + 4, 36u + 32 * 8));
        for (ulong i = 0; i < 32; i++) Assert.True(_memory.TryWrite(xsdt + 36 + i * 8, 0x20_0000ul));
        List<Section> picture = Picture();
        Assert.InRange(picture[2].Rows.Count, 10_000, 20_000);
        Assert.Contains("too many to list", (string)picture[2].Rows[^1][3]!, StringComparison.Ordinal);
        Assert.InRange(AcpiPicture.List(_memory).Sum(static t => t.Bytes.Length), 1 << 20, 2 << 20);
    }

    [Fact]
    public void Whatever_the_guest_writes_there_is_survived()
    {
        Random random = new(2);
        byte[] good = _area.Span.ToArray();
        for (int round = 0; round < 2000; round++)
        {
            good.CopyTo(_area.Span);
            for (int i = 0; i < 8; i++) _area.Span[random.Next(0x600)] = (byte)random.Next();
            Assert.InRange(Picture()[1].Rows.Count, 0, 8192);
        }
        random.NextBytes(good);
        good.CopyTo(_area.Span);
        _ = Picture();
        _area.Span.Clear();
        _ = Picture();
        // Pointers to nowhere, lengths without end.
        _area.Span.Fill(0xff);
        _ = Picture();
    }

    private static string Line(string place)
    {
        string[] parts = place.Split(':');
        return File.ReadAllLines(Repository.Full(parts[0]))[int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture) - 1];
    }

    private List<Section> Picture()
    {
        List<Section> picture = [];
        AcpiPicture.Add(picture, _memory);
        return picture;
    }
}
