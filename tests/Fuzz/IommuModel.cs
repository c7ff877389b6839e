using MicroVm.Devices;

namespace MicroVm.Fuzz;

/// <summary>What a guest's IOMMU should do, said in the simplest way: lists that are searched from end to
/// end.</summary>
/// <param name="ram">Bytes of RAM, from address 0.</param>
/// <param name="endpoints">Who there is.</param>
internal sealed class IommuModel(ulong ram, uint[] endpoints)
{
    private const ulong Page = 4096;

    private readonly Dictionary<uint, Domain> _attached = [];

    internal bool Bypass { get; private set; } = true;

    /// <summary>Mappings in all domains.</summary>
    internal long Count => _attached.Values.Distinct().Sum(static d => d.Mappings.Count);

    internal void SetBypass(ulong value)
    {
        if (value <= 1) Bypass = value == 1;
    }

    internal void Reset() => _attached.Clear();

    /// <summary>True if the request is to be answered with Ok, and its effect is had then.</summary>
    internal bool Attach(in VirtioIommuAttach r)
    {
        if (r.Reserved != 0 || r.Flags > 1 || !endpoints.Contains(r.Endpoint)) return false;
        Domain? there = Find(r.Domain);
        bool bypass = r.Flags == 1;
        if (there is not null && there.Bypass != bypass) return false;
        // Where it was alone, its domain is gone, and so are the mappings: but not if it is the same.
        _attached[r.Endpoint] = there ?? new Domain(r.Domain, bypass);
        return true;
    }

    internal bool Detach(in VirtioIommuDetach r) =>
        r.Reserved == 0 && _attached.GetValueOrDefault(r.Endpoint)?.Id == r.Domain && _attached.Remove(r.Endpoint);

    internal bool Map(in VirtioIommuMap r)
    {
        (ulong first, ulong last, ulong physical) = (r.First, r.Last, r.Physical);
        if (r.Flags > 3 || first > last) return false;
        if (first % Page != 0 || (last + 1) % Page != 0 || physical % Page != 0) return false;
        if (last > VirtioIommuConst.LastAddress || physical >= ram || last - first >= ram - physical) return false;
        if (Find(r.Domain) is not { Bypass: false } there) return false;
        if (first <= VirtioIommuConst.MsiLast && last >= VirtioIommuConst.MsiFirst) return false;
        if (there.Mappings.Exists(m => m.First <= last && first <= m.Last)) return false;
        if (there.Mappings.Count >= VirtioIommuConst.MaxMappings) return false;
        there.Mappings.Add((first, last, physical, r.Flags));
        return true;
    }

    internal bool Unmap(in VirtioIommuUnmap r)
    {
        (ulong first, ulong last) = (r.First, r.Last);
        if (r.Reserved != 0 || first > last || Find(r.Domain) is not { Bypass: false } there) return false;
        // 5.13.6.7.1: a mapping is taken whole or not at all.
        if (there.Mappings.Exists(m => m.First < first && m.Last >= first)) return false;
        if (there.Mappings.Exists(m => m.First <= last && m.Last > last)) return false;
        there.Mappings.RemoveAll(m => m.First >= first && m.Last <= last);
        return true;
    }

    /// <summary>Where an endpoint's access leads, and how many bytes are in one piece there; null where it may not
    /// go.</summary>
    internal (ulong Physical, ulong Length)? Translate(uint endpoint, ulong address, ulong length, bool write)
    {
        Domain? domain = _attached.GetValueOrDefault(endpoint);
        if (domain?.Bypass ?? Bypass) return address < ram && length <= ram - address ? (address, length) : null;
        if (domain is null) return null;
        foreach ((ulong first, ulong last, ulong physical, uint access) in domain.Mappings)
        {
            if (address < first || address > last) continue;
            if ((access & (write ? 2 : 1)) == 0) return null;
            return (physical + (address - first), Math.Min(length, last - address + 1));
        }
        return null;
    }

    private Domain? Find(uint id) => _attached.Values.FirstOrDefault(d => d.Id == id);

    private sealed record Domain(uint Id, bool Bypass)
    {
        internal List<(ulong First, ulong Last, ulong Physical, uint Access)> Mappings { get; } = [];
    }
}
