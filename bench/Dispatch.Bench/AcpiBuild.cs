using BenchmarkDotNet.Attributes;
using MicroVm.Acpi;

namespace Dispatch.Bench;

/// <summary>All tables of a machine, into a buffer that is there already.</summary>
public class AcpiBuild
{
    private const ulong Address = 0xe0000;

    private readonly byte[] _buffer = new byte[64 << 10];
    private readonly AcpiMmioDevice[] _virtio = new AcpiMmioDevice[16];

    public AcpiBuild()
    {
        for (int i = 0; i < _virtio.Length; i++) _virtio[i] = new AcpiMmioDevice(0xd000_0000 + (uint)i * 0x1000, 4 + (uint)i);
    }

    [Benchmark(Description = "1 CPU, serial, 2 virtio devices")]
    public ulong Small() => AcpiTables.Build(Platform(1, 2), _buffer, Address);

    [Benchmark(Description = "64 CPUs, serial, 16 virtio devices")]
    public ulong Large() => AcpiTables.Build(Platform(64, 16), _buffer, Address);

    private AcpiPlatform Platform(int cpus, int virtio) => new()
    {
        CpuCount = cpus,
        IoApicAddress = 0xfec0_0000,
        Sleep = new AcpiSleepPorts(0x600, 0x601, 0x602),
        Com1 = new AcpiPortDevice(0x3f8, 1),
        Ged = new AcpiMmioDevice(0xfeb0_0000, 3),
        PvPanicPort = 0x505,
        VirtioMmio = _virtio.AsSpan(0, virtio),
    };
}
