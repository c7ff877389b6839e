using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Mmio;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Rng;
using MicroVm.Virtio.Vsock;

namespace MicroVm;

/// <summary>Builds a machine in the order that costs least: memory slots, interrupt controller, vCPUs, devices, guest image (docs/decisions/0001).</summary>
internal sealed class MachineBuilder
{
    private const ulong MinMemory = 2UL << 20;
    // Three pages where nothing else is, below the end of the 32-bit space.
    private const uint TssAddress = 0xfffb_d000;
    private const int StandardError = 2;

    private readonly MachineOptions _options;
    private readonly OwnedParts _owned = new();
    private readonly MachineEnd _end = new();
    private readonly AccessTrace _trace = new();
    private readonly AddressSpace _ports = new("pio"), _mmio = new("mmio");
    private readonly GuestErrors _errors;
    private readonly Lazy<EventLoop> _loop;

    internal MachineBuilder(MachineOptions options)
    {
        _options = options;
        _errors = new GuestErrors(_owned.Add(new OutputPump(StandardError, "errors", 1 << 14)));
        // One loop for all quick devices, made with the first of them.
        _loop = new Lazy<EventLoop>(() => _owned.Add(new EventLoop("devices")));
        if (options.Cpus is < 1 or > MachineOptions.MaxCpus) throw MicroVmException.Usage("cannot make that many vCPUs", $"--cpus {options.Cpus}", $"Give 1 to {MachineOptions.MaxCpus}");
        if (options.MemoryBytes < MinMemory) throw MicroVmException.Usage("that is too little memory", $"--memory {options.MemoryBytes >> 20}M", "Give at least 2M; a Debian kernel needs about 128M");
    }

    /// <summary>Builds it, or gives back everything that was made so far.</summary>
    internal Machine Build()
    {
        try
        {
            return new Machine(Assemble());
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    private MachineParts Assemble()
    {
        ConsoleAttachment? serial = Attach(_options.Serial, "serial"), console = Attach(_options.Console, "console");
        VirtioDevice[] devices = MakeVirtioDevices(console);

        GuestMemory memory = _owned.Add(GuestMemory.Allocate(_options.MemoryBytes, MachineMap.LowMemory.End, MachineMap.HighMemory.Start));
        KvmVm vm;
        int cpuidCount;
        Span<KvmAbi.CpuidEntry> cpuid = stackalloc KvmAbi.CpuidEntry[CpuidTable.MaxEntries];
        bool tscDeadline;
        using (KvmSystem kvm = KvmSystem.Open())
        {
            vm = _owned.Add(kvm.CreateVm());
            cpuidCount = kvm.SupportedCpuid(cpuid);
            tscDeadline = kvm.Capability(KvmAbi.CapTscDeadlineTimer) > 0;
        }
        ResidentArea? pages = AddMemory(vm, memory, devices.Length);
        vm.SplitIrqchip((uint)PinCount(devices.Length));
        KvmVcpu[] kvmVcpus = MakeVcpus(vm, new CpuidTable(cpuid, cpuidCount, _options.Cpus, tscDeadline));
        Timeline.Mark("kvm");

        InterruptRouter router = new(vm, PinCount(devices.Length));
        IoApic ioApic = new(router, PinCount(devices.Length));
        _mmio.Add(MachineMap.Ioapic.Base, ioApic);
        AcpiGed ged = AddPlatformDevices(router, serial);
        VirtioMmio[] virtio = AddVirtio(vm, memory, router, devices, pages);
        LoadGuest(memory, kvmVcpus[0], serial is not null, virtio.Length);
        Timeline.Mark("loaded");

        return new MachineParts
        {
            Owned = _owned, End = _end, Vm = vm, Memory = memory, Trace = _trace, Ports = _ports, Mmio = _mmio, Router = router, Ged = ged,
            Virtio = virtio, Vcpus = WrapVcpus(kvmVcpus, ioApic, memory), Serial = serial, Console = console,
        };
    }

    // Pins cost the guest exits at boot: no more of them than there are lines, which the map numbers without gaps that matter.
    private static int PinCount(int virtioDevices) => virtioDevices == 0 ? MachineMap.Ged.Irq + 1 : MachineMap.Virtio.FirstIrq + virtioDevices;

    private ConsoleAttachment? Attach(ConsoleEndpoint endpoint, string name)
    {
        ConsoleAttachment? attachment = ConsoleAttachment.TryAttach(endpoint, name);
        return attachment is null ? null : _owned.Add(attachment);
    }

    private ResidentArea? AddMemory(KvmVm vm, GuestMemory memory, int virtioDevices)
    {
        foreach (MemoryRegion region in memory.Regions) vm.AddMemory(region.GuestAddress, region.Length, region.HostAddress);
        vm.SetTssAddress(TssAddress);
        if (virtioDevices == 0) return null;
        ResidentArea pages = _owned.Add(new ResidentArea(virtioDevices));
        vm.AddMemory(MachineMap.Virtio.Base, pages.Length, pages.HostAddress, readOnly: true);
        return pages;
    }

    private KvmVcpu[] MakeVcpus(KvmVm vm, CpuidTable cpuid)
    {
        KvmVcpu[] vcpus = new KvmVcpu[_options.Cpus];
        for (int id = 0; id < vcpus.Length; id++)
        {
            vcpus[id] = _owned.Add(vm.CreateVcpu(id));
            vcpus[id].SetCpuid(cpuid.For(id));
            BootRegisters.SetMsrs(vcpus[id]);
        }
        return vcpus;
    }

    private Vcpu[] WrapVcpus(KvmVcpu[] kvm, IoApic ioApic, GuestMemory memory)
    {
        AccessFormatter formatter = new(_ports, _mmio);
        IAccessObserver? observer = _options.Trace is { } wanted ? _owned.Add(new AccessPrinter(wanted, _ports, formatter)) : null;
        GuestBus ports = new(_ports, _trace, _errors, observer), mmio = new(_mmio, _trace, _errors, observer);
        Vcpu[] vcpus = new Vcpu[kvm.Length];
        for (int i = 0; i < kvm.Length; i++)
        {
            vcpus[i] = new Vcpu(kvm[i], ports, mmio, ioApic, _end, (vcpu, why) => CrashReport.Write(vcpu, why, memory, _trace, formatter));
        }
        return vcpus;
    }

    private AcpiGed AddPlatformDevices(InterruptRouter router, ConsoleAttachment? serial)
    {
        if (serial is not null)
        {
            Uart16550 uart = new(Line(router, MachineMap.Com1.Irq), serial.Output);
            uart.Input = serial.Feed(uart);
            _ports.Add(MachineMap.Com1.Base, uart);
        }
        _ports.Add(MachineMap.Exit.Base, new ExitPort(_end));
        _ports.Add(MachineMap.Panic.Base, new PvPanic(_end));
        _ports.Add(MachineMap.Sleep.Base, new AcpiSleep(_end));
        AcpiGed ged = new(Line(router, MachineMap.Ged.Irq));
        _mmio.Add(MachineMap.Ged.Base, ged);
        return ged;
    }

    private InterruptLine Line(InterruptRouter router, int gsi)
    {
        InterruptLine line = _owned.Add(new InterruptLine((uint)gsi));
        router.Attach(line);
        return line;
    }

    private static ulong VirtioAddress(int index) => MachineMap.Virtio.Base + (ulong)index * MachineMap.Virtio.Stride;

    private void LoadGuest(GuestMemory memory, KvmVcpu first, bool serial, int virtioDevices)
    {
        BootSource source = new(_options.Kernel, _options.Initrd, _options.CommandLine, _options.KernelCache);
        BootState state = BootLoader.Load(memory, source, BootLayout.Acpi, []);
        WriteAcpi(memory, serial, virtioDevices);
        ResetVector.Write(memory, AcpiSleepPort(2), (byte)AcpiSleepConst.ResetValue);
        BootRegisters.Enter(first, state);
    }

    private void WriteAcpi(GuestMemory memory, bool serial, int virtioDevices)
    {
        Span<AcpiMmioDevice> virtio = stackalloc AcpiMmioDevice[virtioDevices];
        for (int i = 0; i < virtioDevices; i++) virtio[i] = new AcpiMmioDevice((uint)VirtioAddress(i), (uint)(MachineMap.Virtio.FirstIrq + i));
        AcpiPlatform platform = new()
        {
            CpuCount = _options.Cpus,
            IoApicAddress = (uint)MachineMap.Ioapic.Base,
            Sleep = new AcpiSleepPorts(AcpiSleepPort(0), AcpiSleepPort(1), AcpiSleepPort(2)),
            Com1 = serial ? new AcpiPortDevice(MachineMap.Com1.Base, MachineMap.Com1.Irq) : null,
            Ged = new AcpiMmioDevice((uint)MachineMap.Ged.Base, MachineMap.Ged.Irq),
            PvPanicPort = MachineMap.Panic.Base,
            VirtioMmio = virtio,
        };
        if (!memory.TryRange(BootLayout.Acpi, BootLayout.AcpiSize, out HostRange area)) throw new InvalidOperationException("no memory at the ACPI area");
        AcpiTables.Build(platform, area.Span, BootLayout.Acpi);
    }

    private static ushort AcpiSleepPort(int register) => (ushort)(MachineMap.Sleep.Base + register);

    // In the order in which the guest numbers them: disks first, so that --disk order is /dev/vda, vdb and so on.
    private VirtioDevice[] MakeVirtioDevices(ConsoleAttachment? console)
    {
        List<VirtioDevice> devices = [];
        foreach (DiskOptions disk in _options.Disks) devices.Add(_owned.Add(new VirtioBlockDevice(FileBackend.Open(disk.Path, disk.ReadOnly, disk.Serial))));
        foreach (NetOptions net in _options.Nets) devices.Add(_owned.Add(VirtioNetDevice.Open(net)));
        if (_options.Vsock is { } vsock) devices.Add(_owned.Add(VirtioVsockDevice.Open(vsock)));
        if (console is not null) devices.Add(MakeConsole(console));
        if (_options.Rng) devices.Add(_owned.Add(new VirtioRngDevice(_loop.Value)));
        if (devices.Count > MachineMap.Virtio.Count) throw MicroVmException.Usage("too many virtio devices", $"{devices.Count}", $"Give at most {MachineMap.Virtio.Count}");
        return [.. devices];
    }

    private VirtioConsoleDevice MakeConsole(ConsoleAttachment host)
    {
        VirtioConsoleDevice device = _owned.Add(new VirtioConsoleDevice(_loop.Value, host.Output));
        device.Input = host.Feed(device.InputSink);
        return device;
    }

    private VirtioMmio[] AddVirtio(KvmVm vm, GuestMemory memory, InterruptRouter router, VirtioDevice[] devices, ResidentArea? pages)
    {
        if (pages is null) return [];
        EventFd acknowledged = _owned.Add(new EventFd());
        VirtioMmio[] transports = new VirtioMmio[devices.Length];
        for (int i = 0; i < devices.Length; i++)
        {
            InterruptLine line = Line(router, MachineMap.Virtio.FirstIrq + i);
            VirtioMmio transport = _owned.Add(new VirtioMmio(i, devices[i], memory, line, acknowledged, _errors, pages.Page(i)));
            foreach (DoorbellRequest d in transport.Doorbells) vm.AddIoEventFd(VirtioAddress(i) + d.Offset, (uint)d.Width, d.Match, d.Event.Fd);
            _mmio.Add(VirtioAddress(i), transport);
            transports[i] = transport;
        }
        return transports;
    }
}
