using MicroVm.Diagnostics;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Vfio;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.VhostUser;

namespace MicroVm.Hotplug;

/// <summary>The slots behind the root ports: functions go into and out of them while the guest runs. One request at a time, from a thread that is no vCPU's.</summary>
internal sealed class PciSlots
{
    private readonly HotplugUnits _all;
    private readonly PciHost _pci;
    private readonly HotplugUnit[] _slots;
    private readonly VirtioFactory _factory;
    private readonly VfioAssignment _vfio;
    private readonly GuestMemory _memory;
    private readonly InterruptRouter _router;
    private int _next;

    /// <param name="all">The machine's units.</param>
    /// <param name="pci">The buses, with what is plugged in at start.</param>
    /// <param name="factory">Makes virtio devices.</param>
    /// <param name="vfio">Opens those of the host.</param>
    /// <param name="memory">Where their queues and buffers lie.</param>
    /// <param name="router">Takes their messages.</param>
    internal PciSlots(HotplugUnits all, PciHost pci, VirtioFactory factory, VfioAssignment vfio, GuestMemory memory, InterruptRouter router)
    {
        (_all, _pci, _factory, _vfio, _memory, _router) = (all, pci, factory, vfio, memory, router);
        _slots = new HotplugUnit[pci.Ports.Count];
        for (int i = 0; i < _slots.Length; i++)
        {
            int port = i + 1;
            _slots[i] = all.Add(UnitKind.Slot, i);
            _slots[i].TakeOut = () => TakeOut(port);
            if (pci.Behind(port) is not null) _slots[i].Occupy();
        }
    }

    /// <summary>Plugs a virtio device in and waits until the guest has taken it.</summary>
    /// <exception cref="MicroVmException">There is no slot for it, or what it names cannot be used; <see cref="GuestRefusedException"/>: the guest.</exception>
    internal PciFunction Add(VirtioOptions options, TimeSpan limit)
    {
        if (options.Transport == VirtioTransport.Mmio) throw MicroVmException.Usage("only PCI devices come while the guest runs", "transport=mmio", "Leave it out");
        return Add(options.Id ?? "the device", options.RootPort, limit, (address, page) =>
        {
            VirtioDevice device = _factory.Make(options);
            try
            {
                if (device is VhostUserDevice && !_memory.IsShared) throw MicroVmException.Usage("the guest's memory is this process's alone, and no backend can be given it", device.Name, "Start the machine with this device, or with another of a backend");
                return new VirtioPciFunction(address, page, device, _memory, _router, _pci.Line, _all.Errors);
            }
            catch
            {
                device.Dispose();
                throw;
            }
        });
    }

    /// <summary>Gives the guest a PCI function of the host and waits until it has taken it.</summary>
    /// <param name="device">It: <see cref="DeviceRequest"/>.</param>
    /// <param name="limit">How long the guest may take.</param>
    internal PciFunction Assign(string device, TimeSpan limit) => Add(device, null, limit, (address, page) => _vfio.Open(device, address, page, _pci.Line));

    /// <summary>Gives the guest functions of the host, which it finds when it starts. Its image is in memory already.</summary>
    /// <param name="devices">They: <see cref="DeviceRequest"/>; there are slots for all of them.</param>
    internal void AssignAtStart(IReadOnlyList<string> devices)
    {
        foreach (string device in devices)
        {
            int port = Free();
            _ = Plug(_pci.AddressBehind(port), (address, page) => _vfio.Open(device, address, page, _pci.Line));
            _slots[port - 1].Occupy();
        }
    }

    /// <summary>The host wants a device back: asks the guest for it. From any thread; does not wait.</summary>
    internal void HostWants(PciAddress address) => _ = _slots[address.Bus - 1].AskBack();

    /// <summary>Plugs a function in and waits until the guest has taken it.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="port">Root port, from 1; null for a free one.</param>
    /// <param name="limit">How long the guest may take.</param>
    /// <param name="make">Makes it for its address, on its page of configuration space.</param>
    private PciFunction Add(string name, int? port, TimeSpan limit, Func<PciAddress, ResidentPage, PciFunction> make)
    {
        long deadline = HotplugUnits.Deadline(limit);
        int chosen = port ?? Free();
        PciAddress address = _pci.AddressBehind(chosen);
        PciFunction function;
        lock (_all.Topology) function = Plug(address, make);
        _all.PutIn(_slots[chosen - 1], name, limit, deadline);
        return function;
    }

    /// <summary>Asks the guest for a function and waits until it has given it back and it is disposed.</summary>
    /// <param name="function">In a slot.</param>
    /// <param name="name">For messages.</param>
    /// <param name="limit">How long the guest may take.</param>
    /// <exception cref="GuestRefusedException">It refused, or has not answered.</exception>
    internal void Remove(PciFunction function, string name, TimeSpan limit)
    {
        _all.AskBack(SlotOf(function, name), name, limit, HotplugUnits.Deadline(limit));
    }

    /// <summary>Takes a function out without asking, as if its card were pulled, and tells the guest.</summary>
    internal void Pull(PciFunction function, string name)
    {
        HotplugUnit slot = SlotOf(function, name);
        if (!slot.Withdraw()) _ = _all.Wait(() => slot.State == UnitState.Empty, HotplugUnits.Deadline(TimeSpan.FromSeconds(10)));
    }

    private HotplugUnit SlotOf(PciFunction function, string name) => function.Address.Bus != 0
        ? _slots[function.Address.Bus - 1] : throw MicroVmException.Usage("it is in no slot, and stays as long as the machine", name, "Start it with port=N, or add it while the guest runs");

    // In turns: the guest may still be at the slot that was pulled last.
    private int Free()
    {
        for (int i = 0; i < _slots.Length; i++)
        {
            int index = (_next + i) % _slots.Length;
            if (_slots[index].State != UnitState.Empty) continue;
            _next = index + 1;
            return index + 1;
        }
        throw MicroVmException.Usage("every slot is taken", $"{_slots.Length} root ports", "Remove a device, or start the machine with more (--pci-ports)");
    }

    private PciFunction Plug(PciAddress address, Func<PciAddress, ResidentPage, PciFunction> make)
    {
        PciFunction? function = null;
        ResidentPage page = _pci.Page(address);
        try
        {
            function = make(address, page);
            _pci.Plug(function);
            return function;
        }
        catch
        {
            if (function is not null) _pci.Unplug(function);
            else _pci.Root.Ecam.Remove(address);
            throw;
        }
    }

    private void TakeOut(int port)
    {
        lock (_all.Topology)
        {
            if (_pci.Behind(port) is { } function) _pci.Unplug(function);
        }
    }
}
