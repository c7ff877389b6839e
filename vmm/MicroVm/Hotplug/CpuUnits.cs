namespace MicroVm.Hotplug;

/// <summary>The CPUs that there may be. They come from the lowest that is missing on, and go from the highest on. One request at a time, from a thread that is no vCPU's.</summary>
internal sealed class CpuUnits
{
    private readonly HotplugUnits _all;
    private readonly VcpuSet _vcpus;
    private readonly HotplugUnit[] _units;

    /// <param name="all">The machine's units.</param>
    /// <param name="vcpus">The vCPUs, those of the start among them.</param>
    /// <param name="count">CPUs that there may be.</param>
    internal CpuUnits(HotplugUnits all, VcpuSet vcpus, int count)
    {
        (_all, _vcpus) = (all, vcpus);
        _units = new HotplugUnit[count];
        for (int i = 0; i < count; i++)
        {
            int id = i;
            // The first CPU is where the guest's own shutdown ends; no guest can go on without it.
            _units[i] = all.Add(UnitKind.Cpu, i, ejectable: i > 0);
            _units[i].TakeOut = () => Park(id);
            if (i < vcpus.Made.Length) _units[i].Occupy();
        }
    }

    /// <summary>CPUs that there may be.</summary>
    internal int Most => _units.Length;

    /// <summary>CPUs that there are.</summary>
    internal int Count => _units.Count(static u => u.State != UnitState.Empty);

    /// <summary>Adds or takes CPUs one after the other, and waits for the guest each time.</summary>
    /// <param name="wanted">How many there shall be.</param>
    /// <param name="limit">How long the guest may take for all of them.</param>
    /// <exception cref="MicroVmException">There may not be that many, or the host refused; <see cref="GuestRefusedException"/>: the guest. Those before it have come or gone.</exception>
    internal void Resize(int wanted, TimeSpan limit)
    {
        if (wanted < 1 || wanted > Most) throw MicroVmException.Usage("the machine cannot have that many CPUs", $"--cpus {wanted}", $"Give 1 to {Most}{(wanted > Most ? ", or start it with more --max-cpus" : ": the first CPU stays")}");
        long deadline = HotplugUnits.Deadline(limit);
        while (Count < wanted) Add(Array.FindIndex(_units, static u => u.State == UnitState.Empty), limit, deadline);
        while (Count > wanted) Remove(Array.FindLastIndex(_units, static u => u.State != UnitState.Empty), limit, deadline);
    }

    private void Add(int id, TimeSpan limit, long deadline)
    {
        lock (_all.Topology) _vcpus.Start(id);
        _all.PutIn(_units[id], $"cpu {id}", limit, deadline);
    }

    private void Remove(int id, TimeSpan limit, long deadline) => _all.AskBack(_units[id], $"cpu {id}", limit, deadline);

    private void Park(int id)
    {
        lock (_all.Topology) _vcpus.Park(id);
    }
}
