namespace MicroVm.Bus;

/// <summary>Who answers at which address: ports, or memory-mapped registers. Look-ups run without a lock on an immutable sorted array; a change swaps the array whole.</summary>
internal sealed class AddressSpace(string name)
{
    private const int MaxVacated = 16;

    private readonly Lock _changing = new();
    private Entry[] _entries = [];
    private (ulong Start, ulong Size)[] _vacated = [];

    /// <summary>Name in messages: <c>mmio</c> or <c>pio</c>.</summary>
    internal string Name { get; } = name;

    /// <summary>Adds a block at <paramref name="start"/>, as many bytes as its declaration says.</summary>
    /// <exception cref="InvalidOperationException">Something answers there already.</exception>
    internal void Add(ulong start, IRegisterBlock block)
    {
        if (!TryAdd(start, block)) throw new InvalidOperationException($"{block.Info.Name} overlaps another block at {Name} 0x{start:x}");
    }

    /// <summary>Adds a block unless something answers there already.</summary>
    internal bool TryAdd(ulong start, IRegisterBlock block)
    {
        Entry added = new(start, start + block.Info.Size, block);
        lock (_changing)
        {
            Entry[] old = _entries;
            int at = 0;
            while (at < old.Length && old[at].Start < added.Start) at++;
            bool overlaps = (at > 0 && old[at - 1].End > added.Start) || (at < old.Length && old[at].Start < added.End);
            if (overlaps) return false;
            Volatile.Write(ref _entries, [.. old[..at], added, .. old[at..]]);
            return true;
        }
    }

    /// <summary>Takes a block away. One access may still be in it: it is over for whoever takes the block's gate afterwards.</summary>
    internal void Remove(IRegisterBlock block)
    {
        lock (_changing) Volatile.Write(ref _entries, Array.FindAll(_entries, e => e.Block != block));
    }

    /// <summary>What is read in this range, where nothing answers any more, is 0 from now on and not ones (docs/decisions/0083). The last <see cref="MaxVacated"/> ranges are kept.</summary>
    internal void Vacate(ulong start, ulong size)
    {
        lock (_changing)
        {
            (ulong Start, ulong Size)[] others = Array.FindAll(_vacated, v => v.Start != start);
            Volatile.Write(ref _vacated, [.. others.AsSpan(Math.Max(0, others.Length - MaxVacated + 1)), (start, size)]);
        }
    }

    /// <summary>An address in such a range.</summary>
    internal bool IsVacated(ulong address)
    {
        foreach ((ulong start, ulong size) in Volatile.Read(ref _vacated))
        {
            if (address - start < size) return true;
        }
        return false;
    }

    /// <summary>The blocks in the order of their addresses.</summary>
    internal ReadOnlySpan<Entry> Entries => _entries;

    /// <summary>What answers where at this moment. One that is another array later may have lost a block.</summary>
    internal Entry[] View => Volatile.Read(ref _entries);

    /// <summary>The block at <paramref name="address"/>, or null; an access that leaves the block belongs to nobody.</summary>
    internal IRegisterBlock? Find(ulong address, int width, out uint offset) => Find(Volatile.Read(ref _entries), address, width, out offset);

    /// <summary>The same in what <see cref="View"/> gave.</summary>
    internal static IRegisterBlock? Find(Entry[] entries, ulong address, int width, out uint offset)
    {
        int low = 0, high = entries.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >> 1;
            ref readonly Entry e = ref entries[middle];
            if (address < e.Start) high = middle - 1;
            else if (address >= e.End) low = middle + 1;
            else
            {
                offset = (uint)(address - e.Start);
                return (ulong)width <= e.End - address ? e.Block : null;
            }
        }
        offset = 0;
        return null;
    }

    internal readonly record struct Entry(ulong Start, ulong End, IRegisterBlock Block);
}
