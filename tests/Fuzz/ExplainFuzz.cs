using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics.Explain;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Rng;

namespace MicroVm.Fuzz;

/// <summary>What <c>explain</c> reads of a hostile guest: ACPI tables, page tables, rings, PCI functions. Whatever
/// stands there, a picture is made of it, of bounded size, and of characters that a terminal prints.</summary>
public sealed class ExplainFuzz
{
    // The picture of a large machine is below 100 KB; AML comes in hexadecimal digits.
    private const int MostText = 4 << 20, MostAml = 8 << 20, MostRows = 20_000;
    private const ulong Ram = 16 << 20;

    [Fact]
    public void Acpi()
    {
        Reach reach = new("tables", "fields", "objects", "not as declared", "aml");
        using GuestMemory memory = GuestMemory.Allocate(Ram, MachineMap.LowMemory.End, MachineMap.HighMemory.Start);
        AcpiDamage damage = new(memory);
        FuzzRun.Run("explain: ACPI", random =>
        {
            damage.Restore();
            for (int round = 0; round < 4; round++)
            {
                damage.Do(random);
                List<Section> picture = [];
                AcpiPicture.Add(picture, memory);
                Bounded(picture, MostText);
                reach.Add("tables", picture[0].Rows.Count);
                reach.Add("fields", picture[1].Rows.Count);
                reach.Add("objects", picture[2].Rows.Count);
                if (picture[2].Rows.Any(static r => r[2] is "?")) reach.Add("not as declared");
                if (round != 0) continue;
                List<Section> aml = AcpiPicture.Aml(memory);
                Bounded(aml, MostAml);
                reach.Add("aml", aml[0].Rows.Count);
            }
        }, share: 2, reach);
    }

    [Fact]
    public void Page_tables()
    {
        Reach reach = new("page of 4096", "page of 2097152", "page of 1073741824", "nowhere");
        using GuestMemory memory = GuestMemory.Allocate(Ram, MachineMap.LowMemory.End, MachineMap.HighMemory.Start);
        Assert.True(memory.TryRange(0, 1 << 16, out HostRange tables));
        FuzzRun.Run("explain: page tables", random =>
        {
            // Entries that mostly lead to one another.
            for (ulong at = 0; at < tables.Length; at += 8)
                tables.Store(at, random.Next(8) == 0 ? Any(random) : Table(random) | (uint)random.Next(0x200) | 1);
            for (int i = 0; i < 200; i++) Walk(random, memory, reach);
        }, share: 2, reach);
    }

    private static void Walk(Random random, GuestMemory memory, Reach reach)
    {
        KvmAbi.SystemRegisters cpu = new()
        {
            Cr0 = random.Next(20) == 0 ? 0 : (ulong)Cr0.Paging, Cr3 = random.Next(8) == 0 ? Any(random) : Table(random),
            Cr4 = random.Next(2) == 0 ? (ulong)Cr4.FiveLevels : 0,
            Efer = random.Next(20) == 0 ? 0 : (ulong)Efer.LongModeActive,
        };
        ulong address = random.Next(4) == 0 ? Any(random) : (ulong)((long)Any(random) >> 17);
        PageTables walk = PageTables.Walk(memory, cpu, address);
        Assert.True(walk.Physical is null == walk.Failure is not null);
        Assert.InRange(walk.Steps.Count, 0, 5);
        foreach (PageStep step in walk.Steps)
        {
            bool there = memory.TryRead(step.Table + (ulong)step.Index * 8, out ulong entry);
            Assert.Equal(there ? entry : null, step.Entry);
            Assert.InRange(PageTables.Flags(step).Length, 0, 200);
        }
        ulong inside = walk.PageSize == 0 ? 0 : walk.PageSize - 1;
        Assert.Equal(address & inside, (walk.Physical ?? 0) & inside);
        reach.Add(walk.PageSize == 0 ? "nowhere" : $"page of {walk.PageSize}");
    }

    [Fact]
    public void Whole_machine()
    {
        using EventLoop loop = new("fuzz", ThreadOwner.Process);
        Reach reach = new("queues", "rings not in RAM", "vectors", "bars");
        FuzzRun.Run("explain: machine", random =>
        {
            using PciLife pci = new(loop, random);
            VirtioDevice device = random.Next(2) == 0 ? new VirtioRngDevice(loop) : new VirtioConsoleDevice(loop, null);
            using GuestDriver mmio = new(device, pci.Guest.Memory);
            MachineParts parts = Parts(pci, mmio);
            for (int i = 0; i < 8; i++)
            {
                for (int step = 0; step < 20; step++) pci.Step(new Random(random.Next()));
                SetQueues(random, mmio);
                List<Section> picture = MachinePicture.Of(parts, "running", []);
                Bounded(picture, MostText);
                IReadOnlyList<object?[]> Rows(string name) => picture.Find(s => s.Name == name)!.Rows;
                reach.Add("queues", Rows("queues").Count);
                reach.Add("rings not in RAM", Rows("queues").Count(static r => r.Contains("its ring is not in RAM")));
                reach.Add("vectors", Rows("interrupts").Count(static r => ((string)r[2]!).StartsWith('M')));
                reach.Add("bars", Rows("bars").Count);
                ulong near = MachineMap.PciHigh.Start + (ulong)random.Next(0x10_0000);
                Bounded(AddressPicture.OfPhysical(parts, random.Next(2) == 0 ? Any(random) : near), MostText);
            }
        }, reach: reach);
    }

    private static void SetQueues(Random random, GuestDriver guest)
    {
        _ = guest.Negotiate(random.Next(2) == 0 ? GuestDriver.AllFeatures : (ulong)VirtioFeatures.Version1);
        for (int i = 0; i < guest.Mmio.Device.QueueSizes.Length; i++)
            guest.SetQueue(i, (uint)random.Next(1 << random.Next(1, 17)), Place(), Place(), Place());
        if (random.Next(2) == 0) guest.DriverOk();

        ulong Place() => random.Next(2) == 0 ? Any(random) >> random.Next(64) : (ulong)random.Next(0x100) << 12;
    }

    // What a picture is made of; the rest of a machine is not looked at.
    private static MachineParts Parts(PciLife pci, GuestDriver mmio) => new()
    {
        Memory = pci.Guest.Memory, Mmio = pci.Guest.Mmio, Router = pci.Guest.Router, Pci = pci.Guest.Host,
        Virtio = [mmio.Mmio], Vm = new KvmVm(-1, 0), Ports = new AddressSpace("pio"),
        VcpuSet = new VcpuSet(static _ => null!), Owned = null!,
        End = null!, Trace = null!, Ged = null!, Hotplug = null, Slots = null, Cpus = null, Dimms = null, Serial = null,
        Console = null, ConsoleDevice = null, ConsolePorts = [],
    };

    private static void Bounded(List<Section> picture, int mostText)
    {
        long text = 0;
        foreach (Section section in picture)
        {
            Assert.InRange(section.Rows.Count, 0, MostRows);
            foreach (object? cell in section.Rows.SelectMany(static r => r))
            {
                string word = cell?.ToString() ?? "";
                text += word.Length;
                int strange = word.AsSpan().IndexOfAnyExceptInRange(' ', '~');
                if (strange >= 0) Assert.Fail($"{section.Name}: a character 0x{(int)word[strange]:x}");
            }
        }
        Assert.InRange(text, 0, mostText);
    }

    private static ulong Table(Random random) => (ulong)random.Next(16) << 12;

    private static ulong Any(Random random) => (ulong)random.NextInt64(long.MinValue, long.MaxValue);
}
