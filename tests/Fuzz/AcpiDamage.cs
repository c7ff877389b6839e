using System.Buffers.Binary;
using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Memory;

namespace MicroVm.Fuzz;

/// <summary>What a guest does to the ACPI tables in its memory: bytes, lengths and pointers, and tables of its
/// own.</summary>
/// <param name="memory">Where they are.</param>
internal sealed class AcpiDamage(GuestMemory memory)
{
    private const int HeaderBytes = 36, MostBytes = 1 << 20;
    private const ulong Own = 0x20_0000, OutOfRange = 16 << 20;

    private static readonly AcpiSource[] s_units = AcpiCatalog.Units();

    private readonly byte[] _good = Build();

    /// <summary>The tables as they were.</summary>
    internal void Restore() => Assert.True(memory.TryWrite(BootLayout.Acpi, _good));

    internal void Do(Random random)
    {
        ulong xsdt = Pointer(24), list = xsdt + HeaderBytes;
        int first = (int)(list - BootLayout.Acpi);
        ulong[] tables = [BootLayout.Acpi, xsdt, Pointer(first), Pointer(first + 8), Pointer(first + 16)];
        for (int count = random.Next(6); count > 0; count--)
        {
            ulong table = tables[random.Next(tables.Length)], to = Place(random, tables);
            uint length = random.Next(2) == 0 ? (uint)random.Next() : (uint)random.Next(MostBytes);
            switch (random.Next(6))
            {
                case 0: Put(BootLayout.Acpi + (ulong)random.Next(0x1000), (byte)random.Next()); break;
                // The beginning of what a terminal takes for an order, where there is a name.
                case 1: Put(table, 0x5b1b_0000u | (uint)random.Next(0x10000)); break;
                case 2: Put(table + 4, length); break;
                case 3: Put(list + (ulong)random.Next(40) * 8, to); break;
                case 4: Put(BootLayout.Acpi + 24, to); break;
                default: MakeOwn(random, xsdt); break;
            }
        }
    }

    private static ulong Place(Random random, ulong[] tables) => random.Next(4) switch
    {
        0 => (ulong)random.NextInt64(),
        1 => OutOfRange - (ulong)random.Next(64),
        2 => Own,
        _ => tables[random.Next(tables.Length)],
    };

    // Of the smallest things that a table can hold, as long as a table may be; and the list has it as often as it can.
    private void MakeOwn(Random random, ulong xsdt)
    {
        byte[] own = new byte[random.Next(4) == 0 ? MostBytes : random.Next(4000, 20_000)];
        random.NextBytes(own.AsSpan(0, 4000));
        byte[] head = Array.Find(s_units, static u => u.Template.AsSpan().StartsWith("DSDT"u8))!.Template;
        byte[] unit = s_units[random.Next(s_units.Length)].Template;
        if (random.Next(2) == 0 && unit.Length != 0)
        {
            head.CopyTo(own, 0);
            for (int at = head.Length; at + unit.Length <= own.Length; at += unit.Length) unit.CopyTo(own, at);
        }
        else
        {
            "APIC"u8.CopyTo(own);
            for (int at = 44; at + 2 <= own.Length; at += 2)
                (own[at], own[at + 1]) = ((byte)random.Next(10), (byte)random.Next(3));
        }
        BinaryPrimitives.WriteInt32LittleEndian(own.AsSpan(4), own.Length);
        Assert.True(memory.TryWrite(Own, own));
        Put(xsdt + 4, HeaderBytes + 32u * 8);
        for (ulong i = 0; i < 32; i++) Put(xsdt + HeaderBytes + i * 8, Own);
    }

    private void Put<T>(ulong at, T value) where T : unmanaged => Assert.True(memory.TryWrite(at, value));

    private ulong Pointer(int at) => BinaryPrimitives.ReadUInt64LittleEndian(_good.AsSpan(at));

    private static byte[] Build()
    {
        AcpiPlatform platform = new()
        {
            CpuCount = 2, PossibleCpus = 4, IoApicAddress = 0xfec0_0000,
            Sleep = new AcpiSleepPorts(0x600, 0x601, 0x602), Com1 = new AcpiPortDevice(0x3f8, 1),
            Ged = new AcpiMmioDevice(0xfeb0_0000, 3), PvPanicPort = 0x505,
            VirtioMmio = new AcpiMmioDevice[] { new(0xd000_0000, 4), new(0xd000_1000, 5) },
            Pci = new AcpiPciHost(
                new AcpiEcam(0xe000_0000, 0, 1), 0xc000_0000, 0x1000_0000, 0x40_0000_0000, 0x40_0000_0000),
        };
        byte[] tables = new byte[BootLayout.AcpiSize];
        AcpiTables.Build(platform, tables, BootLayout.Acpi);
        return tables;
    }
}
