using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Pci;

/// <summary>The root complex: which functions there are, and where their BARs stand in the guest.</summary>
/// <remarks>A BAR is decoded while its function's memory space is enabled, its address lies wholly in one of the host bridge's windows (which hold nothing else: no RAM, no ECAM, no APIC)
/// and in those of the root port above, and no other BAR is there. Otherwise it is nowhere, and nothing else changes. Its registers, memory slots and doorbells move together.</remarks>
internal sealed class PciRoot(AddressSpace mmio, IGuestSpace vm, EcamArea ecam) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<PciFunction> _functions = [];

    /// <summary>Functions, in the order in which they were plugged; those of this moment.</summary>
    internal PciFunction[] Functions
    {
        get
        {
            lock (_lock) return [.. _functions];
        }
    }

    /// <summary>Configuration space.</summary>
    internal EcamArea Ecam => ecam;

    /// <summary>The function at an address, or null.</summary>
    internal PciFunction? Find(PciAddress address)
    {
        lock (_lock) return _functions.Find(f => f.Address == address);
    }

    /// <summary>Plugs a function in: its configuration space answers from now on.</summary>
    internal void Add(PciFunction function)
    {
        mmio.Add(MachineMap.Ecam.Start + function.Address.EcamOffset, function);
        lock (_lock)
        {
            _functions.Add(function);
            function.Root = this;
        }
        Update();
    }

    /// <summary>Takes a function out: nothing that the guest writes reaches it any more, and its BARs are gone. Its page is left for it to be disposed with: see <see cref="EcamArea.Remove"/>.</summary>
    internal void Remove(PciFunction function)
    {
        mmio.Remove(function);
        lock (function.Gate)
        {
            lock (_lock)
            {
                _functions.Remove(function);
                function.Root = null;
                foreach (PciBar bar in function.Bars)
                {
                    if (function.ReadsZerosWhenGone && bar.Address is { } at) mmio.Vacate(at, bar.Size);
                    Unmap(bar);
                }
            }
        }
        foreach (PciBar bar in function.Bars)
        {
            foreach (BarRegion region in bar.Regions)
            {
                if (region is BarRegion.Registers registers) WaitForAccess(registers.Block);
            }
        }
        function.Unplugged();
        Update();
    }

    private static void WaitForAccess(IRegisterBlock block)
    {
        lock (block.Gate) { }
    }

    /// <summary>Makes what the guest finds equal to what the registers say: takes away what moved, then maps what has a place.</summary>
    internal void Update()
    {
        lock (_lock)
        {
            foreach (PciFunction function in _functions)
            {
                foreach (PciBar bar in function.Bars)
                {
                    if (bar.Address is { } now && Wanted(function, bar) != now) Unmap(bar);
                }
            }
            foreach (PciFunction function in _functions)
            {
                foreach (PciBar bar in function.Bars)
                {
                    if (bar.Address is null && Wanted(function, bar) is { } address && IsFree(address, bar.Size)) Map(bar, address);
                }
            }
        }
    }

    /// <summary>Gives all functions and the configuration space back. No vCPU runs any more.</summary>
    public void Dispose()
    {
        for (int i = _functions.Count - 1; i >= 0; i--) _functions[i].Dispose();
        _functions.Clear();
        ecam.Dispose();
    }

    private ulong? Wanted(PciFunction function, PciBar bar)
    {
        if (!function.Header.MemoryEnabled || function.Programmed(bar) is not { } address) return null;
        bool inWindow = Inside(address, bar.Size, MachineMap.PciLow.Start, MachineMap.PciLow.End) || Inside(address, bar.Size, MachineMap.PciHigh.Start, MachineMap.PciHigh.End);
        return inWindow && PortsForward(function.Address.Bus, address, bar.Size) ? address : null;
    }

    private bool PortsForward(byte bus, ulong address, ulong size)
    {
        if (bus == 0) return true;
        foreach (PciFunction function in _functions)
        {
            if (function is RootPort port && port.Secondary == bus) return port.Forwards(address, size);
        }
        return false;
    }

    private static bool Inside(ulong address, ulong size, ulong start, ulong end) => address >= start && address < end && size <= end - address;

    private bool IsFree(ulong address, ulong size)
    {
        foreach (PciFunction function in _functions)
        {
            foreach (PciBar other in function.Bars)
            {
                if (other.Address is { } at && at < address + size && address < at + other.Size) return false;
            }
        }
        return true;
    }

    private void Map(PciBar bar, ulong address)
    {
        bar.Address = address;
        foreach (BarRegion region in bar.Regions)
        {
            ulong at = address + region.Offset;
            switch (region)
            {
                case BarRegion.Registers r: mmio.Add(at, r.Block); break;
                case BarRegion.Memory m: bar.Slots.Add(vm.AddMemory(at, m.Length, m.HostAddress, m.ReadOnly)); break;
                case BarRegion.Doorbell d: vm.AddIoEventFd(at, d.Width, d.Match, d.Event.Fd); break;
            }
        }
    }

    private void Unmap(PciBar bar)
    {
        if (bar.Address is not { } address) return;
        foreach (uint slot in bar.Slots) vm.RemoveMemory(slot);
        bar.Slots.Clear();
        foreach (BarRegion region in bar.Regions)
        {
            if (region is BarRegion.Registers r) mmio.Remove(r.Block);
            else if (region is BarRegion.Doorbell d) vm.RemoveIoEventFd(address + d.Offset, d.Width, d.Match, d.Event.Fd);
        }
        bar.Address = null;
    }
}
