using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Virtio.Iommu;

/// <summary>Who is attached to what, and the requests that change it (Virtio 1.2, 5.13.6). All of them come from one thread; the bypass switch and a reset come from vCPUs under the lock.</summary>
/// <remarks>A domain exists while an endpoint is attached to it, so there are never more domains than endpoints; a domain has at most <see cref="VirtioIommuConst.MaxMappings"/> mappings.</remarks>
internal sealed class IommuTable(GuestMemory memory)
{
    private const VirtioIommuAccess KnownAccess = VirtioIommuAccess.Read | VirtioIommuAccess.Write;

    private readonly Lock _lock = new();
    private readonly List<IIommuEndpoint> _endpoints = [];
    private readonly Dictionary<uint, IommuDomain> _attached = [];

    /// <summary>All memory as it is.</summary>
    internal IommuDomain Everything { get; } = new(0, bypass: true);

    /// <summary>The endpoints, in the order of their making.</summary>
    internal IReadOnlyList<IIommuEndpoint> Endpoints => _endpoints;

    /// <summary>Without a domain an endpoint reaches all memory.</summary>
    internal bool Bypass { get; private set; } = true;

    /// <summary>The domain of an endpoint that does not name one.</summary>
    private IommuDomain? Unattached => Bypass ? Everything : null;

    /// <summary>One more endpoint, before the guest runs; it reaches all memory at first.</summary>
    internal void Add(IIommuEndpoint endpoint) => _endpoints.Add(endpoint);

    /// <summary>The domain that an endpoint is attached to, or null.</summary>
    internal IommuDomain? DomainOf(uint endpoint)
    {
        lock (_lock) return _attached.GetValueOrDefault(endpoint);
    }

    /// <summary>The guest switches bypass.</summary>
    internal void SetBypass(bool on)
    {
        lock (_lock)
        {
            if (Bypass == on) return;
            Bypass = on;
            foreach (IIommuEndpoint endpoint in _endpoints)
            {
                if (!_attached.ContainsKey(endpoint.Id)) _ = endpoint.TryEnter(Unattached);
            }
        }
    }

    /// <summary>The driver reset the device: nobody is attached.</summary>
    internal void Reset()
    {
        lock (_lock)
        {
            foreach (IIommuEndpoint endpoint in _endpoints)
            {
                if (_attached.Remove(endpoint.Id)) _ = endpoint.TryEnter(Unattached);
            }
        }
    }

    /// <summary>The machine ends: endpoints are left as they are.</summary>
    internal void Close()
    {
        lock (_lock) _endpoints.Clear();
    }

    internal VirtioIommuStatus Attach(uint domain, uint endpoint, uint flags)
    {
        if ((flags & ~(uint)VirtioIommuAttachFlags.Bypass) != 0) return VirtioIommuStatus.Invalid;
        bool bypass = flags != 0;
        lock (_lock)
        {
            if (Find(endpoint) is not { } who) return VirtioIommuStatus.NoEntry;
            IommuDomain? there = FindDomain(domain);
            if (there is not null && there.Bypass != bypass) return VirtioIommuStatus.Invalid;
            if (there is not null && _attached.GetValueOrDefault(endpoint) == there) return VirtioIommuStatus.Ok;
            there ??= new IommuDomain(domain, bypass);
            _attached[endpoint] = there;
            if (who.TryEnter(there)) return VirtioIommuStatus.Ok;
            _attached.Remove(endpoint);
            return VirtioIommuStatus.IoError;
        }
    }

    internal VirtioIommuStatus Detach(uint domain, uint endpoint)
    {
        lock (_lock)
        {
            if (Find(endpoint) is not { } who) return VirtioIommuStatus.NoEntry;
            if (!_attached.TryGetValue(endpoint, out IommuDomain? now) || now.Id != domain) return VirtioIommuStatus.Invalid;
            _attached.Remove(endpoint);
            return who.TryEnter(Unattached) ? VirtioIommuStatus.Ok : VirtioIommuStatus.IoError;
        }
    }

    internal VirtioIommuStatus Map(uint domain, in IommuMapping wanted)
    {
        if ((wanted.Access & ~KnownAccess) != 0 || wanted.First > wanted.Last) return VirtioIommuStatus.Invalid;
        const ulong inPage = GuestMemory.PageSize - 1;
        if ((wanted.First & inPage) != 0 || (wanted.Last & inPage) != inPage || (wanted.Physical & inPage) != 0) return VirtioIommuStatus.OutOfRange;
        if (wanted.Last > VirtioIommuConst.LastAddress || !memory.TryRange(wanted.Physical, wanted.Last - wanted.First + 1, out _)) return VirtioIommuStatus.OutOfRange;
        lock (_lock)
        {
            if (FindDomain(domain) is not { } there) return VirtioIommuStatus.NoEntry;
            if (there.Bypass || there.Overlaps(wanted.First, wanted.Last) || IsReserved(there, wanted.First, wanted.Last)) return VirtioIommuStatus.Invalid;
            if (there.Count >= VirtioIommuConst.MaxMappings) return VirtioIommuStatus.NoMemory;
            List<IIommuEndpoint> done = [];
            foreach (IIommuEndpoint endpoint in In(there))
            {
                if (endpoint.TryMap(wanted))
                {
                    done.Add(endpoint);
                    continue;
                }
                foreach (IIommuEndpoint mapped in done) _ = mapped.Unmap(wanted);
                return VirtioIommuStatus.NoMemory;
            }
            there.Add(wanted);
            return VirtioIommuStatus.Ok;
        }
    }

    internal VirtioIommuStatus Unmap(uint domain, ulong first, ulong last)
    {
        if (first > last) return VirtioIommuStatus.Invalid;
        lock (_lock)
        {
            if (FindDomain(domain) is not { } there) return VirtioIommuStatus.NoEntry;
            if (there.Bypass) return VirtioIommuStatus.Invalid;
            if (there.Remove(first, last) is not { } removed) return VirtioIommuStatus.OutOfRange;
            bool all = true;
            foreach (IIommuEndpoint endpoint in In(there))
            {
                foreach (IommuMapping mapping in removed) all &= endpoint.Unmap(mapping);
            }
            return all ? VirtioIommuStatus.Ok : VirtioIommuStatus.IoError;
        }
    }

    /// <summary>What cannot be mapped for an endpoint; null if there is none of that number.</summary>
    internal IReadOnlyList<(ulong First, ulong Last)>? HolesOf(uint endpoint) => Find(endpoint)?.Holes;

    private IIommuEndpoint? Find(uint id) => _endpoints.Find(e => e.Id == id);

    private IommuDomain? FindDomain(uint id)
    {
        foreach (IommuDomain domain in _attached.Values)
        {
            if (domain.Id == id) return domain;
        }
        return null;
    }

    private IEnumerable<IIommuEndpoint> In(IommuDomain domain) => _endpoints.Where(e => _attached.GetValueOrDefault(e.Id) == domain);

    private bool IsReserved(IommuDomain domain, ulong first, ulong last)
    {
        if (Meet(first, last, VirtioIommuConst.MsiFirst, VirtioIommuConst.MsiLast)) return true;
        foreach (IIommuEndpoint endpoint in In(domain))
        {
            foreach ((ulong from, ulong to) in endpoint.Holes)
            {
                if (Meet(first, last, from, to)) return true;
            }
        }
        return false;
    }

    private static bool Meet(ulong first, ulong last, ulong from, ulong to) => first <= to && from <= last;
}
