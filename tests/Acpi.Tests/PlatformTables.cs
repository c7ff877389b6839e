using System.Buffers.Binary;
using System.Text;
using MicroVm.Acpi;

namespace Acpi.Tests;

/// <summary>Tables as <see cref="AcpiTables"/> builds them, taken apart again by following the addresses in them.</summary>
internal sealed class PlatformTables
{
    public const ulong Address = 0xE_0000;

    public byte[] Bytes { get; private init; } = [];

    public ulong Rsdp { get; private init; }

    /// <summary>Every table by its signature, the RSDP aside.</summary>
    public Dictionary<string, byte[]> Tables { get; } = [];

    public static PlatformTables Build(int cpus, int virtio, bool everything = true)
    {
        var devices = new AcpiMmioDevice[virtio];
        for (int i = 0; i < virtio; i++) devices[i] = new(0xD000_0000u + (uint)i * 0x1000, (uint)(4 + i));
        var platform = new AcpiPlatform
        {
            CpuCount = cpus,
            IoApicAddress = 0xFEC0_0000,
            Sleep = new(0x600, 0x601, 0x602),
            VirtioMmio = devices,
            Com1 = everything ? new(0x3F8, 1) : null,
            Ged = everything ? new(0xFEB0_0000, 3) : null,
            PvPanicPort = everything ? (ushort)0x505 : null,
            Pci = everything ? new(new(0xE000_0000, 0, 255), 0xC000_0000, 0x1000_0000, 0x40_0000_0000, 0x40_0000_0000) : null,
            Slots = everything ? [new(0x1_0000, 0xFEB1_0400), new(0x2_0000, 0xFEB1_0410)] : [],
            PossibleCpus = everything && cpus <= 64 ? cpus + 2 : null,
            CpuUnits = 0xFEB1_0000,
            Dimms = everything ? 2 : 0,
            DimmUnits = 0xFEB1_0500,
            DimmRanges = 0xFEB1_0580,
            WithRsdt = everything,
        };
        return Build(platform);
    }

    public static PlatformTables Build(in AcpiPlatform platform)
    {
        byte[] bytes = new byte[AcpiTables.RequiredSize(platform)];
        var built = new PlatformTables { Bytes = bytes, Rsdp = AcpiTables.Build(platform, bytes, Address) };
        built.Follow();
        return built;
    }

    private Span<byte> At(ulong address) => Bytes.AsSpan((int)(address - Address));

    private byte[] Add(ulong address)
    {
        Span<byte> start = At(address);
        byte[] table = start[..(int)BinaryPrimitives.ReadUInt32LittleEndian(start[4..])].ToArray();
        Tables.Add(Encoding.ASCII.GetString(table, 0, 4), table);
        return table;
    }

    private void Follow()
    {
        Span<byte> rsdp = At(Rsdp);
        byte[] xsdt = Add(BinaryPrimitives.ReadUInt64LittleEndian(rsdp[24..]));
        for (int at = 36; at < xsdt.Length; at += 8)
        {
            byte[] table = Add(BinaryPrimitives.ReadUInt64LittleEndian(xsdt.AsSpan(at)));
            if (Encoding.ASCII.GetString(table, 0, 4) == "FACP") Add(BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan(140)));
        }
        uint rsdt = BinaryPrimitives.ReadUInt32LittleEndian(rsdp[16..]);
        if (rsdt != 0) Add(rsdt);
    }
}
