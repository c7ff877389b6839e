using System.Text;
using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Vfio;
using MicroVm.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Mmio;
using MicroVm.Virtio.Pci;

namespace MicroVm;

/// <summary>Builds a machine in the order that costs least: memory slots, interrupt controller, vCPUs, devices, guest image (docs/decisions/0001).</summary>
internal sealed class MachineBuilder
{
    private const ulong MinMemory = 2UL << 20, MaxMemory = MachineMap.LowMemory.Length + MachineMap.HighMemory.Length;
    // Three pages where nothing else is, below the end of the 32-bit space.
    private const uint TssAddress = 0xfffb_d000;
    private const int StandardError = 2;

    private readonly MachineOptions _options;
    private readonly OwnedParts _owned = new();
    private readonly MachineEnd _end = new();
    private readonly AccessTrace _trace = new();
    private readonly AddressSpace _ports = new("pio"), _mmio = new("mmio");
    private readonly OutputPump _log;
    private readonly GuestErrors _errors;
    private readonly Lazy<EventLoop> _loop;
    private readonly VirtioFactory _virtio;

    internal MachineBuilder(MachineOptions options)
    {
        Validate(options);
        _options = options;
        _log = _owned.Add(new OutputPump(StandardError, "log", 1 << 14));
        _errors = new GuestErrors(_log);
        // One loop for all quick devices, made with the first of them.
        _loop = new Lazy<EventLoop>(() => _owned.Add(new EventLoop("devices")));
        _virtio = new VirtioFactory(_loop, _log);
    }

    private static void Validate(MachineOptions options)
    {
        if (options.Cpus is < 1 or > MachineOptions.MaxCpus) throw MicroVmException.Usage("cannot make that many vCPUs", $"--cpus {options.Cpus}", $"Give 1 to {MachineOptions.MaxCpus}");
        if (options.PciRootPorts is < 0 or > PciHost.MaxRootPorts) throw MicroVmException.Usage("cannot make that many root ports", $"--pci-ports {options.PciRootPorts}", $"Give 0 to {PciHost.MaxRootPorts}");
        if (options.MemoryBytes > MaxMemory) throw MicroVmException.Usage("that is more memory than the machine's map has", $"--memory {options.MemoryBytes >> 30}G", $"Give at most {MaxMemory >> 30}G");
        if (options.MemoryBytes < MinMemory) throw MicroVmException.Usage("that is too little memory", $"--memory {options.MemoryBytes >> 20}M", "Give at least 2M; a Debian kernel needs about 128M");
        HashSet<string> ids = [];
        foreach (VirtioOptions device in options.Virtio)
        {
            if (device.Id is { } id && !ids.Add(id)) throw MicroVmException.Usage("two devices have one name", $"id={id}", "Give each its own");
        }
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
        (VirtioDevice[] devices, (VirtioDevice Device, int? Port)[] functions) = MakeVirtioDevices(console);
        bool hasPci = functions.Length > 0 || _options.Devices.Count > 0 || _options.Pci || _options.PciRootPorts > 0;

        GuestMemory memory = _owned.Add(GuestMemory.Allocate(_options.MemoryBytes, MachineMap.LowMemory.End, MachineMap.HighMemory.Start));
        VfioHost? vfio = _options.Devices.Count == 0 ? null : _owned.Add(VfioHost.Open(_options.Devices, _options.UnsafeInterrupts));
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
        PciHost? pci = hasPci ? _owned.Add(new PciHost(vm, _mmio, _options.PciRootPorts)) : null;
        int pins = PinCount(devices.Length);
        int? pciLine = vfio is { HasLine: true } ? pins++ : null;
        vm.SplitIrqchip((uint)pins);
        KvmVcpu[] kvmVcpus = MakeVcpus(vm, new CpuidTable(cpuid, cpuidCount, _options.Cpus, tscDeadline));
        Timeline.Mark("kvm");

        InterruptRouter router = new(vm, pins);
        IoApic ioApic = new(router, pins);
        _mmio.Add(MachineMap.Ioapic.Base, ioApic);
        AcpiGed ged = AddPlatformDevices(router, serial);
        VirtioMmio[] virtio = AddVirtio(vm, memory, router, devices, pages);
        if (pci is not null) AddPciVirtio(pci, memory, router, functions);
        if (vfio is not null) AddAssigned(vfio, pci!, router, ioApic, pciLine);
        LoadGuest(memory, kvmVcpus[0], serial is not null, virtio.Length, pci?.Acpi, pciLine);
        vfio?.Map(memory);
        Timeline.Mark("loaded");

        return new MachineParts
        {
            Owned = _owned, End = _end, Vm = vm, Memory = memory, Trace = _trace, Ports = _ports, Mmio = _mmio, Router = router, Ged = ged,
            Virtio = virtio, Pci = pci, Vcpus = WrapVcpus(kvmVcpus, ioApic, memory), Serial = serial, Console = console,
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

    private void LoadGuest(GuestMemory memory, KvmVcpu first, bool serial, int virtioDevices, AcpiPciHost? pci, int? pciLine)
    {
        BootSource source = new(_options.Kernel, _options.Initrd, _options.CommandLine, _options.KernelCache);
        // The guest believes in configuration space only where the memory map or ACPI reserves it; some look at one, some at the other.
        ReadOnlySpan<MemoryMapEntry> reserved = pci is null ? [] : [new MemoryMapEntry(MachineMap.Ecam.Start, MachineMap.Ecam.Length, MemoryType.Reserved)];
        BootState state = BootLoader.Load(memory, source, BootLayout.Acpi, reserved);
        WriteAcpi(memory, serial, virtioDevices, pci, pciLine);
        ResetVector.Write(memory, AcpiSleepPort(2), (byte)AcpiSleepConst.ResetValue);
        BootRegisters.Enter(first, state);
    }

    private void WriteAcpi(GuestMemory memory, bool serial, int virtioDevices, AcpiPciHost? pci, int? pciLine)
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
            Pci = pci,
            PciLine = (uint?)pciLine,
        };
        if (!memory.TryRange(BootLayout.Acpi, BootLayout.AcpiSize, out HostRange area)) throw new InvalidOperationException("no memory at the ACPI area");
        AcpiTables.Build(platform, area.Span, BootLayout.Acpi);
    }

    private static ushort AcpiSleepPort(int register) => (ushort)(MachineMap.Sleep.Base + register);

    // In the order in which the guest numbers them.
    private (VirtioDevice[] Mmio, (VirtioDevice Device, int? Port)[] Pci) MakeVirtioDevices(ConsoleAttachment? console)
    {
        List<VirtioDevice> mmio = [];
        List<(VirtioDevice, int?)> pci = [];
        foreach (VirtioOptions options in _options.Virtio) Attach(_owned.Add(_virtio.Make(options)), options.RootPort is null ? options.Transport : VirtioTransport.Pci, options.RootPort);
        if (console is not null) Attach(MakeConsole(console), _options.ConsoleTransport);
        if (mmio.Count > MachineMap.Virtio.Count) throw MicroVmException.Usage("too many virtio devices", $"{mmio.Count}", $"Give at most {MachineMap.Virtio.Count}, or attach them with --transport pci");
        return ([.. mmio], [.. pci]);

        void Attach(VirtioDevice device, VirtioTransport? own, int? port = null)
        {
            if ((own ?? _options.Transport) == VirtioTransport.Pci) pci.Add((device, port));
            else mmio.Add(device);
        }
    }

    private void AddPciVirtio(PciHost pci, GuestMemory memory, InterruptRouter router, (VirtioDevice Device, int? Port)[] devices)
    {
        foreach ((VirtioDevice device, int? port) in devices)
        {
            PciAddress address = port is { } n ? pci.AddressBehind(n) : pci.NextAddress();
            pci.Plug(new VirtioPciFunction(address, pci.Page(address), device, memory, router, _errors));
        }
    }

    private void AddAssigned(VfioHost vfio, PciHost pci, InterruptRouter router, IoApic ioApic, int? line)
    {
        VfioPlug.Add(vfio, pci, router, ioApic, line is { } gsi ? Line(router, gsi) : null, _errors);
        _owned.Add(new VfioEvents(_loop.Value, vfio, why => _end.Set(new MachineResult(EndReason.DeviceLost, MachineResult.StoppedCode, why, null))));
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
