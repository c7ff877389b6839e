using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Iommu;

/// <summary>A virtio function of this process behind the IOMMU: its queues and buffers are looked up in its domain, each time anew.</summary>
/// <param name="id">Bus, device and function.</param>
/// <param name="name">Name in messages.</param>
/// <param name="memory">Guest memory.</param>
/// <param name="everything">What it reaches at first.</param>
/// <param name="report">Takes faults: address, whether it was a write, whether there is a domain.</param>
internal sealed class VirtioEndpoint(uint id, string name, GuestMemory memory, IommuDomain everything, Action<uint, ulong, bool, bool> report) : IIommuEndpoint, IDeviceMemory
{
    // How long a mapping's end waits for requests that use it.
    private const int PatienceMilliseconds = 5_000;

    private readonly Lock _lock = new();
    private readonly List<QueueTraffic> _queues = [];
    private IommuDomain? _domain = everything;

    public uint Id => id;

    public string Name => name;

    public IReadOnlyList<(ulong First, ulong Last)> Holes => [];

    public bool TryEnter(IommuDomain? domain)
    {
        IommuDomain? old = _domain;
        Volatile.Write(ref _domain, domain);
        Interlocked.MemoryBarrier();
        if (old == domain || old is null) return true;
        // What was begun in the old domain ends there.
        return Settled(0, ulong.MaxValue);
    }

    public bool TryMap(in IommuMapping mapping) => true;

    public bool Unmap(in IommuMapping mapping) => Settled(mapping.First, mapping.Last);

    public bool TryTranslate(ulong address, ulong length, bool write, out HostRange piece)
    {
        if (Volatile.Read(ref _domain) is not { } domain) return Fault(address, write, hasDomain: false, out piece);
        if (domain.Bypass) return memory.TryRange(address, length, out piece) || Fault(address, write, hasDomain: true, out piece);
        VirtioIommuAccess needed = write ? VirtioIommuAccess.Write : VirtioIommuAccess.Read;
        if (!domain.TryFind(address, out IommuMapping mapping) || (mapping.Access & needed) == 0) return Fault(address, write, hasDomain: true, out piece);
        ulong here = Math.Min(length, mapping.Last - address + 1);
        return memory.TryRange(mapping.Physical + (address - mapping.First), here, out piece) || Fault(address, write, hasDomain: true, out piece);
    }

    public void Watch(QueueTraffic queue)
    {
        lock (_lock) _queues.Add(queue);
    }

    public void Forget()
    {
        lock (_lock) _queues.Clear();
    }

    private bool Fault(ulong address, bool write, bool hasDomain, out HostRange piece)
    {
        piece = default;
        report(id, address, write, hasDomain);
        return false;
    }

    // Requests end by themselves; what waits for the guest or for the host's network is held, and not waited for.
    private bool Settled(ulong first, ulong last)
    {
        long end = Environment.TickCount64 + PatienceMilliseconds;
        SpinWait spin = default;
        while (Touches(first, last))
        {
            if (Environment.TickCount64 > end) return false;
            spin.SpinOnce();
        }
        return true;
    }

    private bool Touches(ulong first, ulong last)
    {
        lock (_lock)
        {
            bool any = false;
            foreach (QueueTraffic queue in _queues) any |= queue.Touches(first, last);
            return any;
        }
    }
}
