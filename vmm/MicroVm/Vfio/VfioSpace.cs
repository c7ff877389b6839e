using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Iommu;

namespace MicroVm.Vfio;

/// <summary>An assigned function behind the guest's IOMMU: the host's IOMMU has for it what the guest's driver maps, and each page of that at the guest's choice of address.</summary>
/// <remarks>At first it has all of the guest's memory, like a function without one. A mapping that the guest takes away is out of the hardware when the call returns: the kernel flushes before it answers.</remarks>
internal sealed class VfioSpace(uint id, string name, IoAddressSpace space, GuestMemory memory) : IIommuEndpoint
{
    private readonly IReadOnlyList<(ulong First, ulong Last)> _holes = FindHoles(space.Ranges());

    public uint Id => id;

    public string Name => name;

    public IReadOnlyList<(ulong First, ulong Last)> Holes => _holes;

    public bool TryEnter(IommuDomain? domain)
    {
        _ = space.Unmap(0, VirtioIommuConst.LastAddress + 1);
        if (domain is null || (domain.Bypass ? MapAll() : MapEach(domain))) return true;
        _ = space.Unmap(0, VirtioIommuConst.LastAddress + 1);
        return false;
    }

    // A page without access has nothing in the hardware.
    public bool TryMap(in IommuMapping mapping)
    {
        if (mapping.Access == 0) return true;
        return TryHost(mapping.Physical, out nint host) && space.Map(mapping.First, mapping.Last - mapping.First + 1, host, Flags(mapping.Access)) == 0;
    }

    public bool Unmap(in IommuMapping mapping) => mapping.Access == 0 || space.Unmap(mapping.First, mapping.Last - mapping.First + 1) == 0;

    private bool MapAll()
    {
        foreach (MemoryRegion region in memory.Regions)
        {
            if (space.Map(region.GuestAddress, region.Length, region.HostAddress) != 0) return false;
        }
        return true;
    }

    private bool MapEach(IommuDomain domain)
    {
        foreach (IommuMapping mapping in domain.All)
        {
            if (!TryMap(mapping)) return false;
        }
        return true;
    }

    private static uint Flags(VirtioIommuAccess access) =>
        ((access & VirtioIommuAccess.Read) != 0 ? VfioAbi.DmaRead : 0) | ((access & VirtioIommuAccess.Write) != 0 ? VfioAbi.DmaWrite : 0);

    // The table has checked that the whole mapping lies in one region.
    private bool TryHost(ulong physical, out nint host)
    {
        foreach (MemoryRegion region in memory.Regions)
        {
            if (physical - region.GuestAddress >= region.Length) continue;
            host = region.HostAddress + (nint)(physical - region.GuestAddress);
            return true;
        }
        host = 0;
        return false;
    }

    // What lies between the ranges that the host's IOMMU maps. A kernel that does not say has none.
    private static List<(ulong First, ulong Last)> FindHoles(IReadOnlyList<(ulong First, ulong Last)> ranges)
    {
        List<(ulong, ulong)> holes = [];
        ulong next = 0;
        foreach ((ulong first, ulong last) in ranges)
        {
            if (first > next) holes.Add((next, Math.Min(first - 1, VirtioIommuConst.LastAddress)));
            next = last + 1;
            if (last >= VirtioIommuConst.LastAddress) return holes;
        }
        if (ranges.Count > 0) holes.Add((next, VirtioIommuConst.LastAddress));
        return holes;
    }
}
