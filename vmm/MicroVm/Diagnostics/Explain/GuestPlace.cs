using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Hotplug;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Diagnostics.Explain;

/// <summary>What stands at a guest physical address.</summary>
/// <param name="What">In words.</param>
/// <param name="Host">Where this process has it, or null where the guest exits or nothing is there.</param>
internal readonly record struct GuestPlace(string What, ulong? Host)
{
    /// <summary>Looks an address up as KVM does: memory slots first, then what answers to exits.</summary>
    internal static GuestPlace Of(MachineParts parts, ulong address)
    {
        foreach (MemorySlot slot in parts.Vm.Slots)
        {
            if (address - slot.GuestAddress < slot.Length) return new GuestPlace(NameOf(parts, slot), (ulong)slot.HostAddress + (address - slot.GuestAddress));
        }
        IRegisterBlock? block = parts.Mmio.Find(address, 1, out uint offset);
        if (block is null) return new GuestPlace(address >> 12 == MsiConst.AddressBase >> 12 ? "local APIC, inside KVM" : "nothing: reads give ones", null);
        string? register = block.Info.Find(offset, write: false)?.Name;
        return new GuestPlace($"registers of {block.Info.Name}{(register is null ? "" : "." + register)}: each access exits", null);
    }

    /// <summary>What a memory slot is for.</summary>
    internal static string NameOf(MachineParts parts, MemorySlot slot)
    {
        foreach (Dimm dimm in parts.Dimms?.Present ?? [])
        {
            if (slot.GuestAddress == dimm.Start) return $"DIMM {dimm.Id}";
        }
        foreach (ref readonly MemoryRegion region in parts.Memory.Regions)
        {
            if (slot.GuestAddress - region.GuestAddress < region.Length) return "RAM";
        }
        if (slot.GuestAddress == MachineMap.Ecam.Start) return "PCI configuration space";
        if (slot.GuestAddress == MachineMap.Virtio.Base) return "virtio-mmio registers";
        if (slot.GuestAddress == MachineMap.CpuUnits.Start) return "hot-plug units";
        foreach (PciFunction function in parts.Pci?.Root.Functions ?? [])
        {
            foreach (PciBar bar in function.Bars)
            {
                if (bar.Address is { } at && slot.GuestAddress - at < bar.Size) return $"BAR {bar.Index} of {function.Address}, {function.Name}";
            }
        }
        return "another mapping";
    }
}
