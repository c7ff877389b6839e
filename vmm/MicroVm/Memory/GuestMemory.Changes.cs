using MicroVm.Kvm;

namespace MicroVm.Memory;

/// <summary>Memory that comes and goes while the guest runs, and who must follow it.</summary>
public sealed unsafe partial class GuestMemory
{
    /// <summary>Where memory that is plugged in begins is a multiple of this, so that the largest pages can back it.</summary>
    internal const ulong PlugAlignment = 1UL << 30;

    /// <summary>Most pieces that guest memory is left in, whoever follows it: a backend in the kernel takes no more
    /// (vhost's <c>max_mem_regions</c>), and it may come at any time.</summary>
    internal const int MostRegions = 64;

    // Innermost but for the listeners' own system calls: block gates and loops' locks come before it.
    private readonly Lock _changing = new();
    private readonly List<IMemoryListener> _listeners = [];
    // As they were added; _regions has those that touch as one.
    private MemoryRegion[] _parts;
    private ulong _placed;
    private volatile int _removals;

    /// <summary>First guest address of the room for memory that is plugged in.</summary>
    internal ulong PlugStart { get; private init; }

    /// <summary>End of that room.</summary>
    internal ulong PlugEnd { get; private init; }

    /// <summary>Bytes of RAM that the guest has now.</summary>
    internal ulong Present
    {
        get
        {
            ulong sum = 0;
            foreach (MemoryRegion region in _regions) sum += region.IsFile ? 0 : region.Length;
            return sum;
        }
    }

    /// <summary>How often memory was taken away. Who keeps a range for long looks again whether the guest <see cref="Holds"/> it after this changed.</summary>
    internal int Removals => _removals;

    /// <summary>Takes guest addresses for a device from the room; never given back. For a machine that is being built.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="alignment">A power of two, at most <see cref="PlugAlignment"/>.</param>
    /// <returns>The first address.</returns>
    internal ulong Place(ulong length, ulong alignment)
    {
        ulong at = AlignUp(_placed, alignment);
        if (at > PlugEnd || length > PlugEnd - at) throw new InvalidOperationException("the room for plugged memory was counted too small");
        _placed = at + length;
        return at;
    }

    /// <summary>Tells a listener of all that there is, and from now on of each change.</summary>
    /// <exception cref="MicroVmException">What the listener throws; it is then told nothing more.</exception>
    internal void Listen(IMemoryListener listener)
    {
        lock (_changing)
        {
            foreach (ref readonly MemoryRegion part in _parts.AsSpan()) listener.Added(part);
            listener.Changed(_regions);
            _listeners.Add(listener);
        }
    }

    /// <summary>Tells it nothing any more; a change that is under way ends first.</summary>
    internal void Unlisten(IMemoryListener listener)
    {
        lock (_changing) _ = _listeners.Remove(listener);
    }

    /// <summary>Gives the guest fresh memory, all zeros, at a place in the room.</summary>
    /// <exception cref="MicroVmException">The host, or a listener, refuses; nothing has changed then.</exception>
    internal void Add(ulong guestAddress, ulong length)
    {
        lock (_changing)
        {
            MemoryRegion part = Free(guestAddress, length);
            if (Merge(With(part)).Length is var pieces && pieces > _regions.Length && pieces > Most)
            {
                throw MicroVmException.Host("guest memory would be in too many pieces", $"{pieces} of at most {Most}",
                    "Use memory devices that are fewer and larger");
            }
            byte* at = (byte*)part.HostAddress;
            if (!Open(_file, at, length)) throw TooMuch(length);
            _ = Libc.madvise(at, (nuint)length, Libc.MADV_HUGEPAGE);
            Add(part);
        }
    }

    /// <summary>Gives the guest a file as memory, at a place in the room, until the end. What is written to it is the file's, or with <paramref name="readOnly"/> this process's alone.</summary>
    /// <exception cref="MicroVmException">The host, or a listener, refuses.</exception>
    internal MemoryRegion AddFile(ulong guestAddress, ulong length, int file, bool readOnly)
    {
        lock (_changing)
        {
            MemoryRegion part = Free(guestAddress, length) with { ReadOnly = readOnly, IsFile = true };
            byte* at = (byte*)part.HostAddress;
            int kind = Libc.MAP_FIXED | (readOnly ? Libc.MAP_PRIVATE : Libc.MAP_SHARED);
            // SAFETY: inside the reservation, where nothing is yet.
            if (Libc.mmap(at, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE, kind, file, 0) != at) throw MicroVmException.Host("cannot map the file for the guest's memory", Libc.Describe(Libc.Errno), "Put it on a file system whose files can be mapped");
            _ = Libc.madvise(at, (nuint)length, Libc.MADV_DONTDUMP);
            Add(part);
            return part;
        }
    }

    /// <summary>Puts zeros in the place of what a file does not have any more, from an offset on; false if there is nothing to replace.</summary>
    internal bool ReplaceTail(in MemoryRegion part, ulong offset)
    {
        lock (_changing)
        {
            if (offset >= part.Length || _reservation == null) return false;
            byte* at = (byte*)part.HostAddress + offset;
            // SAFETY: the end of the part, whose old pages nobody can reach any more.
            return Libc.mmap(at, (nuint)(part.Length - offset), Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_FIXED | Libc.MAP_NORESERVE, -1, 0) == at;
        }
    }

    /// <summary>Takes memory away that <see cref="Add(ulong, ulong)"/> gave: first from readers, then from the guest and the listeners, and its pages go back to the host.
    /// What still has a range of it reads and writes fresh pages that have no other reader.</summary>
    /// <returns>False if what is left would be in more pieces than a listener takes: the memory then stays the guest's,
    /// and only its pages go back to the host.</returns>
    /// <exception cref="MicroVmException">The host refused a listener something; the memory is gone all the same, and everyone was told.</exception>
    internal bool TryRemove(ulong guestAddress)
    {
        lock (_changing)
        {
            int index = Array.FindIndex(_parts, p => p.GuestAddress == guestAddress);
            MemoryRegion part = _parts[index];
            MemoryRegion[] left = [.. _parts.AsSpan(0, index), .. _parts.AsSpan(index + 1)];
            if (Merge(left).Length is var pieces && pieces > _regions.Length && pieces > Most)
            {
                _ = Discard(new HostRange((byte*)part.HostAddress, part.Length));
                return false;
            }
            Set(left);
            _removals++;
            MicroVmException? refused = null;
            for (int i = _listeners.Count - 1; i >= 0; i--)
            {
                try
                {
                    _listeners[i].Changed(_regions);
                }
                catch (MicroVmException e)
                {
                    refused ??= e;
                }
                _listeners[i].Removed(part);
            }
            Discard(new HostRange((byte*)part.HostAddress, part.Length));
            return refused is null ? true : throw refused;
        }
    }

    private int Most
    {
        get
        {
            int most = MostRegions;
            foreach (IMemoryListener listener in _listeners) most = Math.Min(most, listener.MostRegions);
            return most;
        }
    }

    /// <summary>Gives the pages of a range back to the host; whoever reads them next reads zeros. False if the host refuses.</summary>
    internal bool Discard(HostRange range)
    {
        // Of a file in memory the pages go out of the file; those of a user's file are the user's.
        foreach (MemoryRegion region in _file is null ? [] : _regions)
        {
            if (region.IsFile && (ulong)((nint)range.Address - region.HostAddress) < region.Length) return false;
        }
        return Libc.madvise(range.Address, (nuint)range.Length, _file is null ? Libc.MADV_DONTNEED : Libc.MADV_REMOVE) == 0;
    }

    private MemoryRegion Free(ulong guestAddress, ulong length)
    {
        if (guestAddress < PlugStart || length > PlugEnd - guestAddress || guestAddress % PageSize != 0 || length % PageSize != 0) throw new ArgumentOutOfRangeException(nameof(guestAddress));
        foreach (MemoryRegion part in _parts)
        {
            if (guestAddress < part.End && part.GuestAddress < guestAddress + length) throw new ArgumentException("there is memory already", nameof(guestAddress));
        }
        // SAFETY: inside the part of the reservation that stands for the guest addresses from _highStart on.
        return new MemoryRegion(guestAddress, length, (nint)(_highHost + (guestAddress - _highStart)));
    }

    private void Add(MemoryRegion part)
    {
        MemoryRegion[] before = _parts;
        Set(With(part));
        int told = 0;
        try
        {
            for (; told < _listeners.Count; told++)
            {
                _listeners[told].Added(part);
                _listeners[told].Changed(_regions);
            }
        }
        catch
        {
            Set(before);
            // The one that threw may have taken the half of it.
            for (int i = Math.Min(told, _listeners.Count - 1); i >= 0; i--)
            {
                _listeners[i].Changed(_regions);
                _listeners[i].Removed(part);
            }
            throw;
        }
    }

    private MemoryRegion[] With(in MemoryRegion part)
    {
        MemoryRegion[] all = [.. _parts, part];
        Array.Sort(all, static (a, b) => a.GuestAddress.CompareTo(b.GuestAddress));
        return all;
    }

    private void Set(MemoryRegion[] parts) => (_parts, _regions) = (parts, Merge(parts));

    private static MemoryRegion[] Merge(MemoryRegion[] parts)
    {
        List<MemoryRegion> merged = [];
        foreach (MemoryRegion part in parts)
        {
            if (merged.Count > 0 && merged[^1] is var last && last.End == part.GuestAddress && last.HostAddress + (nint)last.Length == part.HostAddress && !last.IsFile && !part.IsFile)
                merged[^1] = last with { Length = last.Length + part.Length };
            else merged.Add(part);
        }
        return [.. merged];
    }
}
