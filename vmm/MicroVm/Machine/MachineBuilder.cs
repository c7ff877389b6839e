using System.Text;
using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Hotplug;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Vfio;
using MicroVm.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Iommu;
using MicroVm.Virtio.Mmio;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Pmem;
using MicroVm.Virtio.VhostUser;

namespace MicroVm;

/// <summary>
/// Builds a machine: host files and guest image, then KVM in the order that costs least, which is memory slots,
/// interrupt controller, vCPUs, devices (docs/decisions/0001).
/// </summary>
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
    private VirtioPmemDevice[] _files = [];
    private GuestIommu? _iommu;
    private bool _isLinux;

    internal MachineBuilder(MachineOptions options)
    {
        Validate(options);
        QuietHandler.SurviveFailedWrites();
        _options = options;
        _log = _owned.Add(new OutputPump(StandardError, "log", 1 << 14, _end));
        HostNotes notes = new(_log);
        _errors = new GuestErrors(_log) { Host = notes };
        // One loop for all quick devices, made with the first of them.
        _loop = new Lazy<EventLoop>(() => _owned.Add(new EventLoop("devices", _end)));
        _virtio = new VirtioFactory(_loop, _log, notes, options.PossibleCpus ?? options.Cpus, _end);
    }

    private static void Validate(MachineOptions options)
    {
        if (options.Cpus is < 1 or > MachineOptions.MaxCpus) throw MicroVmException.Usage("cannot make that many vCPUs", $"--cpus {options.Cpus}", $"Give 1 to {MachineOptions.MaxCpus}");
        if (options.PossibleCpus is { } most && (most < options.Cpus || most > MachineOptions.MaxCpus)) throw MicroVmException.Usage("cannot make room for that many vCPUs", $"--max-cpus {most}", $"Give {options.Cpus} to {MachineOptions.MaxCpus}");
        if (options.PciRootPorts is < 0 or > PciHost.MaxRootPorts) throw MicroVmException.Usage("cannot make that many root ports", $"--pci-ports {options.PciRootPorts}", $"Give 0 to {PciHost.MaxRootPorts}");
        if (options.MemoryBytes > MaxMemory) throw MicroVmException.Usage("that is more memory than the machine's map has", $"--memory {options.MemoryBytes >> 30}G", $"Give at most {MaxMemory >> 30}G");
        if (options.MemoryBytes < MinMemory) throw MicroVmException.Usage("that is too little memory", $"--memory {options.MemoryBytes >> 20}M", "Give at least 2M; a Debian kernel needs about 128M");
        if (options.PossibleMemoryBytes is { } room && (room < options.MemoryBytes || room > MaxMemory)) throw MicroVmException.Usage("cannot make room for that much memory", $"--max-memory {room >> 20}M", $"Give {options.MemoryBytes >> 20}M to {MaxMemory >> 20}M");
        MemoryRoom.Check(options);
        if (options.Ports.Count > ConsolePortOptions.MaxPorts) throw MicroVmException.Usage("too many named ports", $"{options.Ports.Count}", $"Give at most {ConsolePortOptions.MaxPorts}");
        List<string> ids = [], ports = [];
        foreach (ConsolePortOptions port in options.Ports)
        {
            if (!ConsolePortOptions.IsName(port.Name)) throw MicroVmException.Usage("not a name for a port", $"name={port.Name}", $"Give 1 to {ConsolePortOptions.MaxName} ASCII characters without blanks and slashes");
            if (ports.Contains(port.Name)) throw MicroVmException.Usage("two ports have one name", $"name={port.Name}", "Give each its own");
            ports.Add(port.Name);
        }
        foreach (VirtioOptions device in options.Virtio)
        {
            if (device.Id is not { } id) continue;
            if (ids.Contains(id)) throw MicroVmException.Usage("two devices have one name", $"id={id}", "Give each its own");
            ids.Add(id);
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
        ConsoleAttachment[] ports = [.. _options.Ports.Select(port => Attach(port.Endpoint, port.Name) ?? throw MicroVmException.Usage("a port that leads nowhere", $"name={port.Name}", "Give it a socket or a file"))];
        VirtioConsoleDevice? consoleDevice = console is null && ports.Length == 0 ? null : MakeConsole(console, ports);
        (VirtioDevice[] devices, (VirtioDevice Device, int? Port)[] functions) = MakeVirtioDevices(consoleDevice);
        bool hasPci = functions.Length > 0 || _options.Devices.Count > 0 || _options.Iommu || _options.Pci || _options.PciRootPorts > 0;

        bool shared = NeedsSharedMemory(devices, functions);
        IPlacedDevice[] placed = [.. devices.Concat(functions.Select(static f => f.Device)).OfType<IPlacedDevice>()];
        GuestMemory memory = _owned.Add(GuestMemory.Allocate(_options.MemoryBytes, MachineMap.LowMemory.End, MachineMap.HighMemory.Start, MemoryRoom.Of(_options, placed, shared), shared));
        _files = [.. placed.OfType<VirtioPmemDevice>()];
        foreach (IPlacedDevice device in placed) device.Place(memory);
        ulong dimmRoom = _options.PossibleMemoryBytes is null ? 0 : memory.Place(MemoryRoom.OfDimms(_options), GuestMemory.PlugAlignment);
        bool inSlots = !_options.Iommu && DevicesFitIntoSlots(functions.Count(static f => f.Port is not null));
        VfioHost? vfio = _options.Devices.Count == 0 || inSlots ? null : _owned.Add(VfioHost.Open(_options.Devices, _options.UnsafeInterrupts, apart: _options.Iommu));
        BootState guest = LoadImage(memory, hasPci);
        Timeline.Mark("loaded");
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
        HotplugUnits? hotplug = _options.PciRootPorts > 0 || _options.PossibleCpus is not null
            || _options.PossibleMemoryBytes is not null
                ? _owned.Add(new HotplugUnits(vm, _mmio, _errors) { Owner = _end }) : null;
        // What is plugged in later uses the loop until the functions are disposed, which comes before it then.
        if (hotplug is not null) _ = _loop.Value;
        PciHost? pci = hasPci ? _owned.Add(new PciHost(vm, _mmio, _options.PciRootPorts)) : null;
        int pins = PinCount(devices.Length);
        int? pciLine = pci is null ? null : pins++;
        vm.SplitIrqchip((uint)pins);
        CpuidTable table = new(cpuid, cpuidCount, _options.PossibleCpus ?? _options.Cpus, tscDeadline, _options.Nested);
        KvmVcpu[] kvmVcpus = MakeVcpus(vm, table);
        Timeline.Mark("kvm");

        InterruptRouter router = new(vm, pins);
        IoApic ioApic = new(router, pins);
        _mmio.Add(MachineMap.Ioapic.Base, ioApic);
        AcpiGed ged = AddPlatformDevices(router, serial);
        if (!hasPci) _ports.Add(MachineMap.Pci1.Base, new PciMechanism1());
        VirtioMmio[] virtio = AddVirtio(vm, memory, router, devices, pages);
        if (pci is not null) pci.Line = PciLine(router, ioApic, pciLine!.Value);
        if (_options.Iommu) AddIommu(pci!, memory, router);
        if (pci is not null) AddPciVirtio(pci, memory, router, functions);
        if (vfio is not null) AddAssigned(vfio, pci!, memory, router);
        hotplug?.Ged = ged;
        PciSlots? slots = hotplug is not null && pci is { Ports.Count: > 0 } ? AddSlots(hotplug, vm, pci, memory, router) : null;
        VcpuSet vcpus = WrapVcpus(vm, kvmVcpus, table, ioApic, memory);
        CpuUnits? cpus = hotplug is not null && _options.PossibleCpus is { } most ? new CpuUnits(hotplug, vcpus, most) : null;
        MemoryUnits? dimms = hotplug is not null && _options.PossibleMemoryBytes is { } bytes ? new MemoryUnits(hotplug, memory, dimmRoom, bytes - _options.MemoryBytes) : null;
        WriteAcpi(memory, serial is not null, virtio.Length, pci, pciLine);
        BootRegisters.Enter(kvmVcpus[0], guest);
        foreach (IPlacedDevice device in placed) device.Provide();
        vfio?.Map(memory, vm);
        if (inSlots) slots!.AssignAtStart(_options.Devices);
        Timeline.Mark("built");

        return new MachineParts
        {
            Owned = _owned, End = _end, Vm = vm, Memory = memory, Trace = _trace, Ports = _ports, Mmio = _mmio, Router = router, Ged = ged,
            Name = _options.Name,
            Virtio = virtio, Pci = pci, Hotplug = hotplug, Slots = slots, VcpuSet = vcpus, Cpus = cpus, Dimms = dimms,
            Log = _log, OutputPatience = _options.OutputPatience, Serial = serial,
            Console = console, ConsoleDevice = consoleDevice, ConsolePorts = ports,
        };
    }

    // A backend in another process maps the guest's memory; all others are quicker off with memory of this process alone.
    private static bool NeedsSharedMemory(VirtioDevice[] devices, (VirtioDevice Device, int? Port)[] functions) =>
        Array.Exists(devices, static d => d is VhostUserDevice) || Array.Exists(functions, static f => f.Device is VhostUserDevice);

    // Pins cost the guest exits at boot: no more of them than there are lines, which the map numbers without gaps that matter.
    private static int PinCount(int virtioDevices) => virtioDevices == 0 ? MachineMap.Ged.Irq + 1 : MachineMap.Virtio.FirstIrq + virtioDevices;

    private ConsoleAttachment? Attach(ConsoleEndpoint endpoint, string name)
    {
        ConsoleAttachment? attachment = ConsoleAttachment.TryAttach(endpoint, name, _end);
        return attachment is null ? null : _owned.Add(attachment);
    }

    private ResidentArea? AddMemory(KvmVm vm, GuestMemory memory, int virtioDevices)
    {
        memory.Listen(new KvmMemory(vm));
        vm.SetTssAddress(TssAddress);
        if (virtioDevices == 0) return null;
        ResidentArea pages = _owned.Add(new ResidentArea(virtioDevices));
        vm.AddMemory(MachineMap.Virtio.Base, pages.Length, pages.HostAddress, readOnly: true);
        return pages;
    }

    private KvmVcpu[] MakeVcpus(KvmVm vm, CpuidTable cpuid)
    {
        KvmVcpu[] vcpus = new KvmVcpu[_options.Cpus];
        for (int id = 0; id < vcpus.Length; id++) vcpus[id] = MakeVcpu(vm, cpuid, id);
        return vcpus;
    }

    private KvmVcpu MakeVcpu(KvmVm vm, CpuidTable cpuid, int id)
    {
        KvmVcpu vcpu = _owned.Add(vm.CreateVcpu(id));
        vcpu.SetCpuid(cpuid.For(id));
        BootRegisters.SetMsrs(vcpu);
        return vcpu;
    }

    private KvmVcpu MakeLateVcpu(KvmVm vm, CpuidTable cpuid, int id)
    {
        KvmVcpu vcpu = MakeVcpu(vm, cpuid, id);
        vcpu.PublishApicId();
        return vcpu;
    }

    // The vCPUs of the start, and what makes the others.
    private VcpuSet WrapVcpus(KvmVm vm, KvmVcpu[] kvm, CpuidTable cpuid, IoApic ioApic, GuestMemory memory)
    {
        AccessFormatter formatter = new(_ports, _mmio);
        IAccessObserver? observer = _options.Trace is { } wanted
            ? _owned.Add(new AccessPrinter(wanted, _ports, formatter, _end)) : null;
        GuestBus ports = new(_ports, _trace, _errors, observer), mmio = new(_mmio, _trace, _errors, observer);
        CpuidLeaves leaves = cpuid.Keep(_options.PossibleCpus > _options.Cpus);
        VcpuSet vcpus = new(id => new Vcpu(id < kvm.Length ? kvm[id] : MakeLateVcpu(vm, leaves.Table(), id), ports,
            mmio, ioApic, _isLinux, _end,
            (vcpu, why) => CrashReport.Write(vcpu, why, memory, _trace, formatter)) { Faulted = _files.Length == 0 ? null : MendFiles });
        for (int i = 0; i < kvm.Length; i++) vcpus.Make();
        return vcpus;
    }

    // A file behind guest memory ended under the guest.
    private bool MendFiles()
    {
        bool mended = false;
        foreach (VirtioPmemDevice device in _files) mended |= device.File.Mend();
        return mended;
    }

    private AcpiGed AddPlatformDevices(InterruptRouter router, ConsoleAttachment? serial)
    {
        if (serial is not null)
        {
            Uart16550 uart = new(Line(router, MachineMap.Com1.Irq), serial.Output);
            uart.Input = serial.Feed(uart);
            _ports.Add(MachineMap.Com1.Base, uart);
        }
        _ports.Add(MachineMap.Keyboard.Base, new KeyboardReset(_end));
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

    // Before KVM is asked for anything: what is wrong with a file is said also where there is no KVM.
    private BootState LoadImage(GuestMemory memory, bool hasPci)
    {
        BootSource source = new(_options.Kernel, _options.Initrd, _options.CommandLine, _options.KernelCache);
        // The guest believes in configuration space only where the memory map or ACPI reserves it.
        // Some guests look at one, some at the other.
        ReadOnlySpan<MemoryMapEntry> reserved =
            hasPci ? [new MemoryMapEntry(MachineMap.Ecam.Start, MachineMap.Ecam.Length, MemoryType.Reserved)] : [];
        using BootFile kernel = BootFile.OpenKernel(source.Kernel);
        BootState state = BootLoader.Load(memory, kernel, source, BootLayout.Acpi, reserved, out LoadedKernel loaded);
        _isLinux = loaded.IsLinux;
        ResetVector.Write(memory, AcpiSleepPort(2), (byte)AcpiSleepConst.ResetValue);
        return state;
    }

    private void WriteAcpi(GuestMemory memory, bool serial, int virtioDevices, PciHost? pci, int? pciLine)
    {
        Span<AcpiMmioDevice> virtio = stackalloc AcpiMmioDevice[virtioDevices];
        for (int i = 0; i < virtioDevices; i++) virtio[i] = new AcpiMmioDevice((uint)VirtioAddress(i), (uint)(MachineMap.Virtio.FirstIrq + i));
        Span<AcpiSlot> slots = stackalloc AcpiSlot[pci?.Ports.Count ?? 0];
        for (int i = 0; i < slots.Length; i++) slots[i] = new AcpiSlot(pci!.Ports[i].Address.AcpiAddress, (uint)HotplugUnits.Address(UnitKind.Slot, i));
        AcpiPlatform platform = new()
        {
            CpuCount = _options.Cpus,
            PossibleCpus = _options.PossibleCpus,
            CpuUnits = (uint)HotplugUnits.Address(UnitKind.Cpu, 0),
            Dimms = _options.PossibleMemoryBytes is null ? 0 : MemoryUnits.Count,
            DimmUnits = (uint)HotplugUnits.Address(UnitKind.Memory, 0),
            DimmRanges = (uint)HotplugUnits.RangeAddress(0),
            IoApicAddress = (uint)MachineMap.Ioapic.Base,
            Sleep = new AcpiSleepPorts(AcpiSleepPort(0), AcpiSleepPort(1), AcpiSleepPort(2)),
            Com1 = serial ? new AcpiPortDevice(MachineMap.Com1.Base, MachineMap.Com1.Irq) : null,
            Ged = new AcpiMmioDevice((uint)MachineMap.Ged.Base, MachineMap.Ged.Irq),
            PvPanicPort = MachineMap.Panic.Base,
            VirtioMmio = virtio,
            Pci = pci?.Acpi,
            Slots = slots,
            PciLine = (uint?)pciLine,
            Iommu = _iommu?.Address.RequesterId,
            BehindIommu = _iommu?.Ranges(),
        };
        if (!memory.TryRange(BootLayout.Acpi, BootLayout.AcpiSize, out HostRange area)) throw new InvalidOperationException("no memory at the ACPI area");
        AcpiTables.Build(platform, area.Span, BootLayout.Acpi);
    }

    private static ushort AcpiSleepPort(int register) => (ushort)(MachineMap.Sleep.Base + register);

    // In the order in which the guest numbers them.
    private (VirtioDevice[] Mmio, (VirtioDevice Device, int? Port)[] Pci) MakeVirtioDevices(VirtioConsoleDevice? console)
    {
        List<VirtioDevice> mmio = [];
        List<(VirtioDevice, int?)> pci = [];
        foreach (VirtioOptions options in _options.Virtio) Attach(_owned.Add(_virtio.Make(options)), options.RootPort is null ? options.Transport : VirtioTransport.Pci, options.RootPort);
        if (console is not null) Attach(console, _options.ConsoleTransport);
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
            VirtioEndpoint? behind = device.UsesQueuesOnly ? _iommu?.MakeEndpoint(address, device.Name, memory) : null;
            pci.Plug(new VirtioPciFunction(address, pci.Page(address), device, memory, router, pci.Line, _errors, behind));
        }
    }

    private void AddIommu(PciHost pci, GuestMemory memory, InterruptRouter router)
    {
        PciAddress address = pci.NextAddress();
        _iommu = new GuestIommu(address, memory);
        _iommu.Device.Owner = _end;
        pci.Plug(new VirtioPciFunction(address, pci.Page(address), _iommu.Device, memory, router, pci.Line, _errors));
    }

    private IntxLine PciLine(InterruptRouter router, IoApic ioApic, int pin)
    {
        IntxLine line = new(Line(router, pin));
        ioApic.LevelEnded = line.Ended;
        return line;
    }

    private void AddAssigned(VfioHost vfio, PciHost pci, GuestMemory memory, InterruptRouter router)
    {
        VfioPlug.Add(vfio, pci, router, memory, _iommu?.Table, _errors);
        _owned.Add(new VfioEvents(_loop.Value, vfio, EndForDevice, function => EndForDevice($"the host wants assigned device {function.Address} back")));
    }

    // In a slot a device can go back to the host; it then has an address space of its own, so no other of its group can be in the machine. What is behind the guest's IOMMU, or
    // came as open descriptors, stays on bus 0.
    private bool DevicesFitIntoSlots(int taken)
    {
        if (_options.Devices.Count == 0 || _options.Devices.Count > _options.PciRootPorts - taken) return false;
        DeviceRequest[] requests = [.. _options.Devices.Select(DeviceRequest.Parse)];
        if (requests.Any(static r => r.HasDescriptors)) return false;
        HostPci host = new("");
        return requests.Select(r => host.Find(r.Address).Group).Distinct().Count() == _options.Devices.Count;
    }

    private void EndForDevice(string why) => _end.Set(new MachineResult(EndReason.DeviceLost, MachineResult.StoppedCode, why, null));

    private PciSlots AddSlots(HotplugUnits hotplug, KvmVm vm, PciHost pci, GuestMemory memory, InterruptRouter router)
    {
        PciSlots? slots = null;
        VfioAssignment vfio = new(_loop.Value, vm, memory, router, _errors, _options.UnsafeInterrupts, EndForDevice, address => slots!.HostWants(address));
        slots = new PciSlots(hotplug, pci, _virtio, vfio, memory, router);
        return slots;
    }

    private VirtioConsoleDevice MakeConsole(ConsoleAttachment? console, ConsoleAttachment[] named)
    {
        List<ConsolePort> ports = [];
        if (console is not null) ports.Add(new ConsolePort(0, null, console.Output) { Host = console.Where });
        for (int i = 0; i < named.Length; i++) ports.Add(
            new ConsolePort(i + 1, _options.Ports[i].Name, named[i].Output) { Host = named[i].Where });
        VirtioConsoleDevice device = _owned.Add(new VirtioConsoleDevice(_loop.Value, ports, console?.TerminalSize));
        foreach (ConsolePort port in ports)
        {
            ConsoleAttachment host = port.Number == 0 ? console! : named[port.Number - 1];
            port.Input.Source = host.Feed(port.Input);
            port.HostOpen = host.WatchOpen(open => device.SetHostOpen(port, open));
        }
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
