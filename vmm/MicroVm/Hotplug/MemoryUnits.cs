using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Hotplug;

/// <summary>A memory device that is plugged in.</summary>
/// <param name="Unit">The unit that it is in.</param>
/// <param name="Id">What the user calls it.</param>
/// <param name="Start">First guest address.</param>
/// <param name="Bytes">Its size.</param>
internal sealed record Dimm(int Unit, string Id, ulong Start, ulong Bytes)
{
    /// <summary>First guest address behind it.</summary>
    internal ulong End => Start + Bytes;
}

/// <summary>The memory devices that there may be. Each is memory of its own for KVM and for all who follow the guest's memory. One request at a time, from a thread that is no vCPU's.</summary>
internal sealed class MemoryUnits
{
    /// <summary>Memory devices of one machine.</summary>
    internal const int Count = 8;

    /// <summary>What the size of one is a multiple of: Linux takes memory in such blocks.</summary>
    internal const ulong BlockBytes = 128UL << 20;

    private readonly HotplugUnits _all;
    private readonly GuestMemory _memory;
    private readonly ulong _start, _room, _most;
    private readonly HotplugUnit[] _units = new HotplugUnit[Count];
    private readonly AcpiMemory[] _ranges = new AcpiMemory[Count];
    // Swapped whole: readers take no lock.
    private volatile Dimm[] _present = [];
    // Places of those that the guest gave back and that are its memory still, without pages: GuestMemory.TryRemove.
    private volatile Dimm[] _kept = [];

    /// <param name="all">The machine's units.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="start">First guest address of the room for them, a multiple of <see cref="GuestMemory.PlugAlignment"/>.</param>
    /// <param name="most">Bytes that there may be of them.</param>
    internal MemoryUnits(HotplugUnits all, GuestMemory memory, ulong start, ulong most)
    {
        (_all, _memory, _start, _room, _most) = (all, memory, start, RoomFor(most), most);
        for (int i = 0; i < Count; i++)
        {
            int index = i;
            _units[i] = all.Add(UnitKind.Memory, i);
            _units[i].TakeOut = () => TakeOut(index);
            _ranges[i] = all.AddRange(i);
        }
    }

    /// <summary>Guest addresses for so many bytes, however they are divided: each device begins at a multiple of <see cref="GuestMemory.PlugAlignment"/>.</summary>
    internal static ulong RoomFor(ulong most) => (most + (Count + 1) * GuestMemory.PlugAlignment - 1) & ~(GuestMemory.PlugAlignment - 1);

    /// <summary>Bytes that there may be of them.</summary>
    internal ulong MostBytes => _most;

    /// <summary>Those that are plugged in now; from any thread.</summary>
    internal Dimm[] Present => _present;

    /// <summary>Bytes of those.</summary>
    internal ulong PresentBytes
    {
        get
        {
            ulong sum = 0;
            foreach (Dimm dimm in Present) sum += dimm.Bytes;
            return sum;
        }
    }

    /// <summary>Plugs one in and waits until the guest has taken it.</summary>
    /// <param name="bytes">Its size, a multiple of <see cref="BlockBytes"/>.</param>
    /// <param name="id">Its name, which no other has.</param>
    /// <param name="limit">How long the guest may take.</param>
    /// <exception cref="MicroVmException">There is no unit, no room or no memory for it; <see cref="GuestRefusedException"/>: the guest.</exception>
    internal Dimm Add(ulong bytes, string id, TimeSpan limit)
    {
        long deadline = HotplugUnits.Deadline(limit);
        ulong left = _most - PresentBytes;
        if (bytes == 0 || bytes % BlockBytes != 0) throw MicroVmException.Usage("not a size of a DIMM", $"{bytes >> 20} MiB", $"Give a multiple of {BlockBytes >> 20}M");
        if (bytes > left) throw MicroVmException.Usage("the machine cannot have that much memory", $"{bytes >> 20} MiB more", $"Give at most {(left & ~(BlockBytes - 1)) >> 20}M, or start it with more --max-memory");
        int index = Array.FindIndex(_units, static u => u.State == UnitState.Empty);
        if (index < 0) throw MicroVmException.Usage("every DIMM slot is taken", $"{Count}", "Remove one first, and plug in a larger one");
        Dimm dimm = new(index, id, Place(bytes), bytes);
        lock (_all.Topology)
        {
            _memory.Add(dimm.Start, dimm.Bytes);
            _ranges[index].Show(dimm.Start, dimm.Bytes);
            _present = [.. _present, dimm];
        }
        _all.PutIn(_units[index], dimm.Id, limit, deadline);
        return dimm;
    }

    /// <summary>Asks the guest for one and waits until it has given it back, and the host has its pages.</summary>
    /// <exception cref="GuestRefusedException">It refused, or has not answered.</exception>
    internal void Remove(Dimm dimm, TimeSpan limit) => _all.AskBack(_units[dimm.Unit], dimm.Id, limit, HotplugUnits.Deadline(limit));

    // The first place where nothing is.
    private ulong Place(ulong bytes)
    {
        ulong end = _start + _room;
        for (ulong at = _start; bytes <= end - at;)
        {
            Dimm? other = Array.Find([.. _present, .. _kept], d => at < d.End && d.Start < at + bytes);
            if (other is null) return at;
            at = (other.End + GuestMemory.PlugAlignment - 1) & ~(GuestMemory.PlugAlignment - 1);
        }
        throw MicroVmException.Usage("no place is large enough for that DIMM", $"{bytes >> 20} MiB between those that there are", "Give several smaller ones");
    }

    private void TakeOut(int index)
    {
        lock (_all.Topology)
        {
            Dimm dimm = Array.Find(_present, d => d.Unit == index)!;
            try
            {
                if (!_memory.TryRemove(dimm.Start)) _kept = [.. _kept, dimm];
            }
            finally
            {
                _ranges[index].Show(0, 0);
                _present = Array.FindAll(_present, d => d.Unit != index);
            }
        }
    }
}
