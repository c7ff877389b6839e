using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Pci;
using MicroVm.Vfio;
using MicroVm.Virtio.Pci;

namespace MicroVm.Diagnostics.Explain;

/// <summary>The way of each interrupt, a line each: which event, by which entry or pin, on which GSI, by which route and irqfd, to which local APIC and vector, and how often.</summary>
internal static class InterruptPicture
{
    internal static Section Of(MachineParts parts)
    {
        Section section = new("interrupts", "source", "event", "entry", "gsi", "route", "irqfd", "apic", "vector", "trigger", "state", "count");
        for (int i = 0; i < parts.Virtio.Length; i++) Pin($"{parts.Virtio[i].Device.Name} virtio-mmio[{i}]", "queues, configuration", (int)parts.Virtio[i].Line.Gsi);
        Pin("acpi-ged", "platform events", MachineMap.Ged.Irq);
        if (HasUart(parts.Ports)) Pin("uart16550", "input, output", MachineMap.Com1.Irq);
        HostInterrupts? host = null;
        foreach (PciFunction function in parts.Pci?.Root.Functions ?? [])
        {
            if (function is VirtioPciFunction virtio)
            {
                if (!virtio.Msix.Enabled && parts.Pci!.Line is { } shared) Add(Name(function), "queues, configuration", $"INTA to pin {shared.Gsi}", shared.Gsi, false, null);
                for (int v = 0; v < virtio.Msix.Count; v++)
                {
                    if (virtio.Msix.Gsi(v) is { } gsi) Add(Name(function), virtio.Common.EventsOf(v), $"MSI-X[{v}]", gsi, virtio.Msix.IsPending(v), null);
                }
            }
            else if (function is VfioFunction assigned) AddAssigned(assigned, host ??= HostInterrupts.Read());
        }
        return section;

        void AddAssigned(VfioFunction f, HostInterrupts counts)
        {
            for (int v = 0; v < f.Msix?.Count; v++)
            {
                if (f.Msix.Gsi(v) is { } gsi) Add(Name(f), $"message {v} of the device", $"MSI-X[{v}]", gsi, f.Msix.IsPending(v), counts.Of($"vfio-msix[{v}]({f.HostAddress})"));
            }
            if (f.Msi is { Enabled: true } msi) Add(Name(f), "message of the device", "MSI", msi.Line.Gsi, false, counts.Of($"vfio-msi[0]({f.HostAddress})"));
            if (f.Interrupts.Mode == Kvm.VfioAbi.IrqIndex.Intx && parts.Pci?.Line is { } line) Add(Name(f), "line of the device", $"INTA to pin {line.Gsi}", line.Gsi, false, counts.Of($"vfio-intx({f.HostAddress})"));
        }

        void Pin(string source, string what, int gsi) => Add(source, what, $"pin {gsi}", (uint)gsi, false, null);

        void Add(string source, string what, string entry, uint gsi, bool pending, object? count) => Row(section, source, what, entry, gsi, parts.Router.Look(gsi), pending, count);
    }

    private static string Name(PciFunction function) => $"{function.Name} {function.Address}";

    private static bool HasUart(AddressSpace ports)
    {
        foreach (AddressSpace.Entry e in ports.Entries)
        {
            if (e.Block is Uart16550) return true;
        }
        return false;
    }

    // A line's own count is of the signals of this process: where the host's kernel signals, it knows nothing of them.
    private static void Row(Section section, string source, string what, string entry, uint gsi, in RouteLook route, bool pending, object? hostCount)
    {
        MsiMessage m = route.Message;
        bool open = !route.Masked;
        uint destination = (uint)(m.Address >> (int)MsiConst.DestinationShift & byte.MaxValue);
        string apic = (m.Address & MsiConst.DestinationModeLogical) != 0 ? $"logical {Section.Hex(destination)}" : $"{destination}";
        string fd = route.Line is null ? "none" : route.Connected ? $"eventfd {route.Line.Event.Fd}" : $"eventfd {route.Line.Event.Fd} not connected";
        object? count = hostCount ?? (route.Line is { FromKernel: false } line ? line.Raised : "unknown: the host's kernel signals");
        section.Add(source, what, entry, gsi, open ? $"{Section.Hex(m.Address)}/{Section.Hex(m.Data)}" : null, fd, open ? apic : null, open ? Section.Hex(m.Data & byte.MaxValue) : null,
            (m.Data & MsiConst.TriggerLevel) != 0 ? "level" : "edge", open ? "open" : pending ? "masked, pending" : "masked", count);
    }
}
