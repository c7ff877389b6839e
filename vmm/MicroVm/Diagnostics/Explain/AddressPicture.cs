using MicroVm.Kvm;
using MicroVm.Vfio;

namespace MicroVm.Diagnostics.Explain;

/// <summary>Both translations, step by step: of the processor from guest virtual to host physical addresses, and of an assigned device from its own to the host's.</summary>
internal static class AddressPicture
{
    /// <summary>Guest virtual -> guest physical, through the page tables that a vCPU has now, -> host.</summary>
    /// <exception cref="MicroVmException">The vCPU does not come out of the guest.</exception>
    internal static List<Section> OfVirtual(MachineParts parts, ulong address, Vcpu vcpu)
    {
        KvmAbi.SystemRegisters registers = vcpu.LookAtRegisters();
        PageTables walk = PageTables.Walk(parts.Memory, registers, address);
        Section cpu = new("cpu", "cpu", "mode", "cr0", "cr3", "cr4", "efer"), steps = new("walk", "level", "table", "index", "entry", "flags", "leadsTo");
        cpu.Add(vcpu.Kvm.Id, walk.Mode, Section.Hex(registers.Cr0), Section.Hex(registers.Cr3), Section.Hex(registers.Cr4), Section.Hex(registers.Efer));
        foreach (PageStep step in walk.Steps)
        {
            steps.Add(step.Level, Section.Hex(step.Table), step.Index, step.Entry is { } e ? Section.Hex(e) : null, PageTables.Flags(step),
                step.Entry is { } to ? Section.Hex(to & Devices.X86Const.PageAddressMask) : null);
        }
        Section result = Result();
        result.Add("guest virtual", Section.Hex(address), walk.PageSize == 0 ? null : $"page of {walk.PageSize >> 10} KiB");
        if (walk.Physical is { } physical) AddPhysical(result, parts, physical);
        else result.Add("guest physical", null, walk.Failure);
        return [cpu, steps, result];
    }

    /// <summary>Guest physical -> host.</summary>
    internal static List<Section> OfPhysical(MachineParts parts, ulong address)
    {
        Section result = Result();
        AddPhysical(result, parts, address);
        return [result];
    }

    /// <summary>Device address -> guest physical -> host, through what was mapped into the IOMMU.</summary>
    /// <exception cref="MicroVmException">No device is assigned.</exception>
    internal static List<Section> OfDevice(MachineParts parts, ulong address)
    {
        VfioHost[] hosts = [.. parts.VfioHosts];
        if (hosts.Length == 0) throw MicroVmException.Usage("there is no device address", "the machine has no assigned device", "Assign one with --device");
        Section result = Result();
        // Guest memory is at one address for all of them.
        VfioMapping mapping = hosts.SelectMany(static h => h.Mappings).FirstOrDefault(m => address - m.Iova < m.Length);
        result.Add("device (IOVA)", Section.Hex(address), mapping.Length == 0 ? "not in the IOMMU: an access faults" : $"in {Section.Hex(mapping.Iova)}+{Section.Hex(mapping.Length)}");
        if (mapping.Length != 0)
        {
            nint at = mapping.HostAddress + (nint)(address - mapping.Iova);
            if (DmaPicture.GuestOf(parts.Memory, at) is { } guest) result.Add("guest physical", Section.Hex(guest), GuestPlace.Of(parts, guest).What);
            AddHost(result, (ulong)at);
        }
        return [DmaPicture.Of(hosts, parts.Memory), result];
    }

    private static Section Result() => new("translation", "space", "address", "note");

    private static void AddPhysical(Section result, MachineParts parts, ulong address)
    {
        GuestPlace place = GuestPlace.Of(parts, address);
        result.Add("guest physical", Section.Hex(address), place.What);
        if (place.Host is { } host) AddHost(result, host);
    }

    private static void AddHost(Section result, ulong host)
    {
        result.Add("host virtual", Section.Hex(host), "in the monitor");
        ulong? physical = HostPageMap.Find(host, out string why);
        result.Add("host physical", physical is { } p ? Section.Hex(p) : null, why);
    }
}
