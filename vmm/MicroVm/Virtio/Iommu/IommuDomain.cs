using MicroVm.Devices;

namespace MicroVm.Virtio.Iommu;

/// <summary>A range of addresses as devices see them, and the guest physical addresses that stand there.</summary>
/// <param name="First">First address; page aligned.</param>
/// <param name="Last">Last one.</param>
/// <param name="Physical">Guest physical address of the first.</param>
/// <param name="Access">What devices may do there.</param>
internal readonly record struct IommuMapping(ulong First, ulong Last, ulong Physical, VirtioIommuAccess Access);

/// <summary>An address space that endpoints can be attached to. One thread changes it, the devices' threads look things up; the lock is held for a search or one change, and is innermost.</summary>
/// <param name="id">Its number.</param>
/// <param name="bypass">It is all memory as it is, and takes no mappings.</param>
internal sealed class IommuDomain(uint id, bool bypass)
{
    private readonly Lock _lock = new();
    // In the order of their addresses; none overlaps another.
    private readonly List<IommuMapping> _mappings = [];

    internal uint Id { get; } = id;

    internal bool Bypass { get; } = bypass;

    internal int Count
    {
        get { lock (_lock) return _mappings.Count; }
    }

    /// <summary>A copy of all, in order.</summary>
    internal IommuMapping[] All
    {
        get { lock (_lock) return [.. _mappings]; }
    }

    /// <summary>Something is mapped in the range.</summary>
    internal bool Overlaps(ulong first, ulong last)
    {
        lock (_lock)
        {
            int at = Find(first);
            return at < _mappings.Count && _mappings[at].First <= last;
        }
    }

    /// <summary>Adds a mapping that overlaps none.</summary>
    internal void Add(in IommuMapping mapping)
    {
        lock (_lock) _mappings.Insert(Find(mapping.First), mapping);
    }

    /// <summary>Takes the mappings inside the range out; null, and nothing done, if one lies across an end of it.</summary>
    internal IommuMapping[]? Remove(ulong first, ulong last)
    {
        lock (_lock)
        {
            int from = Find(first), to = from;
            while (to < _mappings.Count && _mappings[to].First <= last) to++;
            if (to == from) return [];
            if (_mappings[from].First < first || _mappings[to - 1].Last > last) return null;
            IommuMapping[] removed = [.. _mappings.GetRange(from, to - from)];
            _mappings.RemoveRange(from, to - from);
            return removed;
        }
    }

    /// <summary>The mapping that an address lies in.</summary>
    internal bool TryFind(ulong address, out IommuMapping mapping)
    {
        lock (_lock)
        {
            int at = Find(address);
            bool found = at < _mappings.Count && _mappings[at].First <= address;
            mapping = found ? _mappings[at] : default;
            return found;
        }
    }

    // The first mapping that ends at the address or behind it.
    private int Find(ulong address)
    {
        int low = 0, high = _mappings.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_mappings[middle].Last < address) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
