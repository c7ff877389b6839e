using MicroVm.Bus;
using MicroVm.Kvm;

namespace MicroVm.Diagnostics.Explain;

/// <summary>The picture of a machine for <c>microvm explain</c>: taken from the live objects, each under its own gate for as long as it takes to copy a few words, while the guest goes on.</summary>
/// <remarks>Nothing that is read has an effect, no vCPU is stopped, and nothing is kept from one picture to the next: without a client it costs nothing.</remarks>
internal static class MachinePicture
{
    /// <summary>All sections, in the order in which they are read.</summary>
    /// <param name="parts">The machine.</param>
    /// <param name="state">Whether it runs.</param>
    /// <param name="devices">Its devices, as <c>list</c> has them.</param>
    internal static List<Section> Of(MachineParts parts, string state, IReadOnlyList<DeviceInfo> devices)
    {
        List<Section> picture = [Summary(parts, state), Cpus(parts), Devices(parts, devices), Threads(), Memory(parts),
            Blocks("ports", parts.Ports), Blocks("registers", parts.Mmio)];
        AcpiPicture.Add(picture, parts.Memory);
        if (parts.Pci is { } pci) PciPicture.Add(picture, pci);
        if (parts.VfioHosts.Any()) picture.Add(DmaPicture.Of(parts.VfioHosts, parts.Memory));
        picture.Add(InterruptPicture.Of(parts));
        VirtioPicture.Add(picture, parts);
        BalloonPicture.Add(picture, parts);
        return picture;
    }

    // The host's side of each device.
    private static Section Devices(MachineParts parts, IReadOnlyList<DeviceInfo> devices)
    {
        Section section = new("devices", "place", "device", "id", "host", "backend", "thread");
        foreach (DeviceInfo d in devices) section.Add(d.Place, d.Kind, d.Id, d.Host, d.Backend, d.Thread);
        if (parts.Serial is { } serial) section.Add("uart16550", "serial port", null, serial.Where, null, null);
        return section;
    }

    // Of this process, all machines of it: what top -H shows.
    private static Section Threads()
    {
        Section section = new("threads", "thread", "name");
        foreach ((int id, string name) in HostProcess.Threads()) section.Add(id, name);
        return section;
    }

    private static Section Summary(MachineParts parts, string state)
    {
        Section section = new("machine", "name", "state", "cpus", "memoryBytes", "exits", "routesInUse", "routeTables");
        long exits = 0;
        foreach (Vcpu vcpu in parts.Vcpus) exits += vcpu.Exits;
        section.Add(parts.Name, state, parts.Vcpus.Length, parts.Memory.Size, exits, parts.Router.GsiCount,
            parts.Router.TablesSent);
        return section;
    }

    private static Section Cpus(MachineParts parts)
    {
        Section section = new("cpus", "cpu", "apic", "exits");
        // KVM takes the number of a vCPU as its APIC id.
        foreach (Vcpu vcpu in parts.Vcpus) section.Add(vcpu.Kvm.Id, vcpu.Kvm.Id, vcpu.Exits);
        return section;
    }

    // What KVM maps without an exit: RAM, resident registers, configuration space, BARs.
    private static Section Memory(MachineParts parts)
    {
        Section section = new("memory", "guest", "bytes", "host", "access", "what");
        foreach (MemorySlot slot in parts.Vm.Slots)
        {
            section.Add(Section.Hex(slot.GuestAddress), slot.Length, Section.Hex((ulong)slot.HostAddress), slot.ReadOnly ? "read" : "read, write", GuestPlace.NameOf(parts, slot));
        }
        return section;
    }

    private static Section Blocks(string name, AddressSpace space)
    {
        Section section = new(name, "from", "to", "block", "declaredIn");
        foreach (AddressSpace.Entry e in space.Entries) section.Add(Section.Hex(e.Start), Section.Hex(e.End - 1), e.Block.Info.Name, e.Block.Info.File);
        return section;
    }
}
