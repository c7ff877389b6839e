using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Vfio;

namespace MicroVm.Diagnostics.Explain;

/// <summary>What assigned devices can reach: every range that this process has put into the IOMMU, and nothing else is in it.</summary>
internal static class DmaPicture
{
    internal static Section Of(IEnumerable<VfioHost> hosts, GuestMemory memory)
    {
        Section section = new("dma", "iova", "bytes", "guest", "host", "access", "devices", "through");
        foreach (VfioHost host in hosts)
        {
            foreach (IoAddressSpace space in host.Spaces)
            {
                string devices = string.Join(' ', host.Devices.Where(d => d.Space == space).Select(static d => d.Function.Address));
                foreach (VfioMapping m in space.Mappings) section.Add(Section.Hex(m.Iova), m.Length, GuestOf(memory, m.HostAddress) is { } guest ? Section.Hex(guest) : null, Section.Hex((ulong)m.HostAddress), "read, write", devices, space.Kind);
            }
        }
        return section;
    }

    /// <summary>The guest physical address of memory of this process; equal to the device's address unless the guest has an IOMMU (docs/decisions/0048).</summary>
    internal static ulong? GuestOf(GuestMemory memory, nint host)
    {
        foreach (MemoryRegion region in memory.Regions)
        {
            ulong offset = (ulong)host - (ulong)region.HostAddress;
            if (offset < region.Length) return region.GuestAddress + offset;
        }
        return null;
    }
}
