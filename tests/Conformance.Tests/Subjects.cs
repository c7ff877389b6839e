using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Hotplug;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Vfio;
using MicroVm.Virtio;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Mem;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Iommu;
using MicroVm.Virtio.Pmem;
using MicroVm.Virtio.Transport;

namespace MicroVm.Conformance.Tests;

/// <summary>One block under test, with what the catalogue cannot say about it.</summary>
internal sealed record Subject(IRegisterBlock Block) : IDisposable
{
    /// <summary>What it holds of the host.</summary>
    public IDisposable[] Owned { get; init; } = [];

    /// <summary>The page that its resident registers stand in.</summary>
    public ResidentPage? Page { get; init; }

    /// <summary>The register that selects the index of an index/data pair.</summary>
    public string? Selector { get; init; }

    /// <summary>A register whose writes may start the device, which is allowed to allocate.</summary>
    public string? Starts { get; init; }

    public BlockInfo Info => Block.Info;

    public void Dispose()
    {
        foreach (IDisposable part in Owned) part.Dispose();
    }

    public RegisterInfo Register(string name) => Info.Registers.Single(r => r.Name == name);
}

/// <summary>How to make each block. A block without a line here fails the tests.</summary>
internal static class Subjects
{
    private static readonly Dictionary<string, Func<Subject>> Factories = new()
    {
        ["AcpiGed"] = static () => OnLine(3, static line => new AcpiGed(line)),
        ["AcpiUnit"] = static () =>
        {
            HotplugUnits all = new(new AddressSpace("mmio"), new GuestErrors(null));
            HotplugUnit unit = all.Add(UnitKind.Slot, 0);
            return new Subject(unit.Registers) { Page = unit.Page, Owned = [all] };
        },
        ["AcpiMemory"] = static () => OnPage(AcpiMemory.Size, static page => new AcpiMemory(page)),
        ["AcpiSleep"] = static () => new Subject(new AcpiSleep(new Power())),
        ["ExitPort"] = static () => new Subject(new ExitPort(new Power())),
        ["KeyboardReset"] = static () => new Subject(new KeyboardReset(new Power())),
        ["PciMechanism1"] = static () => new Subject(new PciMechanism1()),
        ["PvPanic"] = static () => new Subject(new PvPanic(new Power())),
        // Without pins, so that nothing of KVM is needed: an entry that has no pin is a register like any other.
        ["IoApic"] = static () => new Subject(new IoApic(new InterruptRouter(null!, 0), 0)) { Selector = "Select" },
        ["Uart16550"] = static () =>
        {
            OutputPump nowhere = new(-1, "none");
            Subject uart = OnLine(1, line => new Uart16550(line, nowhere));
            return uart with { Owned = [.. uart.Owned, nowhere] };
        },
        ["VirtioBalloonConfig"] = static () => new Subject(new VirtioBalloonConfig(1024)),
        ["VirtioBlockConfig"] = static () => Block(),
        ["VirtioConsoleConfig"] = static () => new Subject(new VirtioConsoleConfig(80, 25, 3, null)),
        ["VirtioMemConfig"] = static () => new Subject(new VirtioMemConfig(new PluggedBlocks(256 << 20, 2 << 20), 64 << 20)),
        ["VirtioPmemConfig"] = static () => Pmem(),
        ["VirtioNetConfig"] = static () => new Subject(new VirtioNetConfig(new MacAddress(0x5634_1200_5452), 1500, 3)),
        ["VhostUserBlockConfig"] = static () => new Subject(new VhostUserBlockConfig(new byte[VhostUserBlockConfig.Size], 1)),
        ["VirtioFsConfig"] = static () => new Subject(new VirtioFsConfig("share", 1)),
        ["VirtioIommuConfig"] = static () => new Subject(new VirtioIommuConfig(new IommuTable(Memory()))),
        ["VirtioVsockConfig"] = static () => new Subject(new VirtioVsockConfig(3)),
        ["VirtioMmio"] = static () =>
        {
            var page = new ResidentPage((int)VirtioMmio.Size);
            (GuestMemory memory, InterruptLine line, EventFd acknowledged) = (Memory(), new InterruptLine(4), new EventFd());
            var block = new VirtioMmio(0, new Idle(), memory, line, acknowledged, new GuestErrors(null), page);
            return new Subject(block) { Page = page, Starts = "Status", Owned = [block, line, acknowledged, memory] };
        },
        ["PciHeader0"] = static () => OnPage(PciHeader0.Size, static page => new PciHeader0(Card, page)),
        ["PciHeader1"] = static () => OnPage(PciHeader1.Size, static page => new PciHeader1(Card, 0, 1, static () => { }, page)),
        ["PciPowerCap"] = static () => OnPage(PciPowerCap.Size, static page => new PciPowerCap(new CapabilityPlace(0, page))),
        ["PciExpressCap"] = static () => OnPage(PciExpressCap.Size, static page => new PciExpressCap(PciExpressType.RootPort, 3, new CapabilityPlace(0, page))),
        ["VfioPowerCap"] = static () => OnPage(VfioPowerCap.Size, static page => new VfioPowerCap(new VfioConfig(new Hardware()), 0x40, new CapabilityPlace(0, page))),
        ["VfioExpressCap"] = static () => OnPage(VfioExpressCap.Size, static page => new VfioExpressCap(new VfioConfig(new Hardware()), 0x60, true, static () => { }, new CapabilityPlace(0, page))),
        ["PciMsiCap"] = static () => OnPage(PciMsiCap.Size, static page => new PciMsiCap(new InterruptRouter(null!, 0), new CapabilityPlace(0, page))),
        ["PciMsixCap"] = static () => OnPage(PciMsixCap.Size, static page => new PciMsixCap(Table(), 0x1000, 0x3800, new CapabilityPlace(0, page))),
        ["MsixEntry"] = static () => OnPage(MsixEntry.Size, static page => new MsixEntry(page)),
        ["MsixPba"] = static () => new Subject(new MsixPba(Table())),
        ["VirtioPciCommon"] = static () =>
        {
            var page = new ResidentPage((int)VirtioPciCommon.Size);
            return Common(page, static common => common) with { Page = page, Starts = "Status" };
        },
        ["VirtioPciNotify"] = static () => Common(new ResidentPage(0x1000), static common => new VirtioPciNotify(common.Core)),
        ["VirtioPciIsr"] = static () => new Subject(new VirtioPciIsr()),
        ["VirtioPciCap"] = static () => OnPage(VirtioPciCap.Size, static page => new VirtioPciCap(VirtioPciCapType.Isr, 0x3000, 4, new CapabilityPlace(0, page))),
        ["VirtioPciNotifyCap"] = static () => OnPage(VirtioPciNotifyCap.Size, static page => new VirtioPciNotifyCap(8, new CapabilityPlace(0, page))),
        ["VirtioPciWindowCap"] = static () => OnPage(VirtioPciWindowCap.Size, static page => new VirtioPciWindowCap(new VirtioPciIsr(), new CapabilityPlace(0, page))),
    };

    private static PciIdentity Card => new(0x1af4, 0x1042, 0x018000, 1, 0x1af4, 2, 1);

    private static Subject Block()
    {
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, new byte[1 << 20]);
        FileBackend disk = FileBackend.Open(path, readOnly: false);
        File.Delete(path);
        return new Subject(new VirtioBlockConfig(disk, 4)) { Owned = [disk] };
    }

    private static Subject OnPage(uint size, Func<ResidentPage, IRegisterBlock> make)
    {
        var page = new ResidentPage((int)size);
        return new Subject(make(page)) { Page = page };
    }

    // Bus mastering is off, so that nothing of KVM is needed.
    private static MsixTable Table() => new(3, new InterruptRouter(null!, 0), new ResidentPage(0x1000));

    private static Subject Common(ResidentPage page, Func<VirtioPciCommon, IRegisterBlock> block)
    {
        GuestMemory memory = Memory();
        VirtioPciCommon common = new(block => new TransportCore(block, 0, new Idle(), memory, new GuestErrors(null)), Table(), new VirtioPciIsr(), hasLine: true, page);
        return new Subject(block(common)) { Owned = [common.Core, memory] };
    }

    private static Subject OnLine(uint gsi, Func<InterruptLine, IRegisterBlock> make)
    {
        InterruptLine line = new(gsi);
        return new Subject(make(line)) { Owned = [line] };
    }

    private static Subject Pmem()
    {
        string path = Path.GetTempFileName();
        using (FileStream stream = File.OpenWrite(path)) stream.SetLength(2 << 20);
        PmemFile file = PmemFile.Open(path, readOnly: false);
        File.Delete(path);
        return new Subject(new VirtioPmemConfig(file)) { Owned = [file] };
    }

    private static GuestMemory Memory() => GuestMemory.Allocate(1 << 20, 1 << 20, 1ul << 32);

    /// <summary>Names for theories.</summary>
    public static TheoryData<string> All => [.. RegisterCatalog.All.Select(static b => b.Name)];

    public static IEnumerable<string> Known => Factories.Keys;

    public static Subject Make(string name) =>
        Factories.TryGetValue(name, out Func<Subject>? make) ? make() : throw new InvalidOperationException($"block {name} has no factory in Subjects.cs: add one");

    private sealed class Power : IPowerSink
    {
        public void OnPower(PowerEvent what, byte code) { }
    }

    /// <summary>A virtio device of two queues that does nothing.</summary>
    private sealed class Idle() : VirtioDevice("idle", VirtioConsole.DeviceId, 3, VirtioConsole.QueueSizes[..2], new VirtioConsoleConfig(132, 50, 1, null))
    {
        public override void Activate(in ActivationContext context) { }

        public override void Reset() { }
    }

    /// <summary>A device of which only the configuration space is there, all zero, and which keeps nothing.</summary>
    private sealed class Hardware : IVfioDevice
    {
        public bool CanReset => false;

        public int Reset() => 0;

        public VfioRegion Region(uint index) => new(4096, 0, []);

        public bool TryRead(VfioRegion region, ulong offset, int width, out ulong value)
        {
            value = 0;
            return true;
        }

        public bool TryWrite(VfioRegion region, ulong offset, int width, ulong value) => true;

        public nint Map(VfioRegion region, ulong offset, ulong length) => 0;

        public uint InterruptCount(VfioAbi.IrqIndex index, out bool fixedSize)
        {
            fixedSize = false;
            return 0;
        }

        public int Connect(VfioAbi.IrqIndex index, uint start, ReadOnlySpan<int> events) => 0;

        public int Disconnect(VfioAbi.IrqIndex index) => 0;

        public int Unmask(VfioAbi.IrqIndex index) => 0;

        public void Dispose() { }
    }
}
