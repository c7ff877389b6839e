using MicroVm.Acpi;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Virtio.Iommu;

/// <summary>The guest's IOMMU while a machine is built: the device, who is behind it, and what the guest is told.</summary>
internal sealed class GuestIommu
{
    /// <param name="address">Where the device is plugged in.</param>
    /// <param name="memory">The guest's memory.</param>
    internal GuestIommu(PciAddress address, GuestMemory memory)
    {
        Address = address;
        Table = new IommuTable(memory);
        Device = new VirtioIommuDevice(Table);
    }

    internal PciAddress Address { get; }

    internal IommuTable Table { get; }

    internal VirtioIommuDevice Device { get; }

    /// <summary>Puts a virtio function behind it.</summary>
    internal VirtioEndpoint MakeEndpoint(PciAddress address, string name, GuestMemory memory)
    {
        VirtioEndpoint endpoint = new(address.RequesterId, name, memory, Table.Everything, Device.Report);
        Table.Add(endpoint);
        return endpoint;
    }

    /// <summary>The functions behind it as runs of requester ids.</summary>
    internal AcpiFunctionRange[] Ranges()
    {
        List<AcpiFunctionRange> ranges = [];
        foreach (uint id in Table.Endpoints.Select(static e => e.Id).OrderBy(static id => (ulong)id))
        {
            if (ranges.Count > 0 && ranges[^1].Last + 1 == id) ranges[^1] = ranges[^1] with { Last = (ushort)id };
            else ranges.Add(new AcpiFunctionRange((ushort)id, (ushort)id));
        }
        return [.. ranges];
    }
}
