using MicroVm.Acpi;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Pci;

/// <summary>The PCI part of a machine as it is built: configuration space, host bridge, root ports, and a place for each function and its BARs.</summary>
internal sealed class PciHost : IDisposable
{
    /// <summary>Most root ports; each has a bus of its own.</summary>
    internal const int MaxRootPorts = 16;
    // Room behind a port for what may be plugged in later.
    private const ulong PortLow = 8 << 20, PortHigh = 4UL << 30;

    private readonly PciSpace _low = new(MachineMap.PciLow.Start, MachineMap.PciLow.End), _high = new(MachineMap.PciHigh.Start, MachineMap.PciHigh.End);
    private readonly RootPort[] _ports;
    private readonly List<(PciBar Bar, ulong At)> _placed = [];
    private byte _nextDevice = 1;
    private int _nextShared;

    /// <summary>Makes the buses. Adds a memory slot, so it comes before the interrupt controller (docs/decisions/0001).</summary>
    /// <param name="vm">The machine.</param>
    /// <param name="mmio">Where functions and their registers answer.</param>
    /// <param name="rootPorts">Root ports, 0 to <see cref="MaxRootPorts"/>.</param>
    internal PciHost(IGuestSpace vm, AddressSpace mmio, int rootPorts)
    {
        EcamArea ecam = new(rootPorts + 1);
        vm.AddMemory(MachineMap.Ecam.Start, ecam.Length, ecam.HostAddress, readOnly: true);
        Root = new PciRoot(mmio, vm, ecam);
        Root.Add(new HostBridge(ecam.Add(default)));
        _ports = new RootPort[rootPorts];
        for (int i = 0; i < rootPorts; i++) _ports[i] = AddPort((byte)(i + 1));
    }

    /// <summary>The functions.</summary>
    internal PciRoot Root { get; }

    /// <summary>Root ports, in the order of their buses, from bus 1.</summary>
    internal IReadOnlyList<RootPort> Ports => _ports;

    /// <summary>The line behind pin A of all functions; set once, before the first of them is made.</summary>
    internal IntxLine? Line { get; set; }

    /// <summary>What the guest is told of it.</summary>
    internal AcpiPciHost Acpi => new(new AcpiEcam(MachineMap.Ecam.Start, 0, (byte)_ports.Length), (uint)MachineMap.PciLow.Start, (uint)MachineMap.PciLow.Length,
        MachineMap.PciHigh.Start, MachineMap.PciHigh.Length);

    /// <summary>The next free function of bus 0: a device of its own while there are any, then functions 1 to 7 of those that are no root ports.</summary>
    /// <exception cref="MicroVmException">All are taken.</exception>
    internal PciAddress NextAddress()
    {
        if (_nextDevice < PciConst.DevicesPerBus) return new PciAddress(0, _nextDevice++, 0);
        int first = _ports.Length + 1, devices = (int)PciConst.DevicesPerBus - first, function = 1 + _nextShared / devices;
        if (function >= (int)PciConst.FunctionsPerDevice) throw MicroVmException.Usage("too many PCI devices", "bus 0 is full", "Put some behind root ports (--pci-ports, port=N)");
        return new PciAddress(0, (byte)(first + _nextShared++ % devices), (byte)function);
    }

    /// <summary>What is in the slot of a root port, from 1; or null.</summary>
    internal PciFunction? Behind(int port) => Root.Find(new PciAddress(_ports[port - 1].Secondary, 0, 0));

    /// <summary>The slot of a root port.</summary>
    /// <param name="port">From 1.</param>
    /// <exception cref="MicroVmException">There is no such port, or something is in its slot.</exception>
    internal PciAddress AddressBehind(int port)
    {
        if (port < 1 || port > _ports.Length) throw MicroVmException.Usage("no such root port", $"port {port}", $"Give 1 to {_ports.Length}; --pci-ports makes more");
        return Behind(port) is null ? new PciAddress(_ports[port - 1].Secondary, 0, 0) : throw MicroVmException.Usage("the root port has something in its slot", $"port {port}", "Give each device a port of its own");
    }

    /// <summary>The configuration space of a function that is about to be made.</summary>
    internal ResidentPage Page(PciAddress address) => Root.Ecam.Add(address);

    /// <summary>Plugs a function in and gives its BARs addresses; the guest switches decoding on.</summary>
    internal void Plug(PciFunction function)
    {
        foreach (PciBar bar in function.Bars)
        {
            ulong at = Place(function.Address.Bus, bar);
            _placed.Add((bar, at));
            function.Program(bar, at);
        }
        Root.Add(function);
        if (function.Address.Function != 0 && Root.Find(function.Address with { Function = 0 })?.Header is PciHeader0 first) first.ShowOthers();
        if (PortOf(function.Address.Bus) is { } port) port.Occupied = true;
    }

    /// <summary>Takes a function out and disposes it: when this returns it is absent, and its addresses are free. Not on a vCPU, and without any gate.</summary>
    internal void Unplug(PciFunction function)
    {
        Root.Remove(function);
        // A device may have something to say until it is disposed, and says it in its page.
        function.Dispose();
        Root.Ecam.Remove(function.Address);
        RootPort? port = PortOf(function.Address.Bus);
        foreach ((PciBar bar, ulong at) in _placed.FindAll(p => function.Bars.Contains(p.Bar)))
        {
            if (port is not null) port.Give(bar, at);
            else (bar.Is64 ? _high : _low).Give(at);
        }
        _placed.RemoveAll(p => function.Bars.Contains(p.Bar));
        if (port is not null) port.Occupied = false;
    }

    /// <summary>The root port that leads to a bus, or null for bus 0.</summary>
    internal RootPort? PortOf(byte bus) => bus == 0 ? null : _ports[bus - 1];

    public void Dispose() => Root.Dispose();

    private ulong Place(byte bus, PciBar bar)
    {
        if (PortOf(bus) is { } port) return port.Take(bar);
        return (bar.Is64 ? _high : _low).Take(bar.Size, bar.Size);
    }

    private RootPort AddPort(byte secondary)
    {
        PciAddress address = NextAddress();
        RootPort port = new(address, secondary, Page(address));
        port.Program(_low.Take(PortLow, PortLow), PortLow, _high.Take(PortHigh, PortHigh), PortHigh);
        Root.Add(port);
        return port;
    }
}
