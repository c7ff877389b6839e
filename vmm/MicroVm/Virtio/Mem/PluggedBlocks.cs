using MicroVm.Memory;

namespace MicroVm.Virtio.Mem;

/// <summary>Which blocks of a region the guest has, a bit for each, and the guest memory that follows it. Used by one thread at a time; sizes are read by any.</summary>
/// <remarks>The guest has memory in chunks of 128 MiB or more: a chunk is guest memory while one of its blocks is plugged (docs/decisions/0091). Blocks that are not lose their pages at once.</remarks>
internal sealed class PluggedBlocks
{
    /// <summary>Least bytes of a chunk: Linux hands its own memory on in such pieces.</summary>
    internal const ulong LeastChunk = 128UL << 20;
    // KVM's and vhost's lists stay short.
    private const ulong MostChunks = 64;

    private readonly ulong[] _plugged;
    private readonly int[] _ofChunk;
    // Chunks that are guest memory although none of their blocks is plugged: without them it would be in too many
    // pieces.
    private readonly bool[] _kept;
    private GuestMemory? _memory;
    private long _pluggedBytes;

    /// <param name="regionBytes">A multiple of <paramref name="blockBytes"/>.</param>
    /// <param name="blockBytes">A power of two, at least a page.</param>
    internal PluggedBlocks(ulong regionBytes, ulong blockBytes)
    {
        (RegionBytes, BlockBytes) = (regionBytes, blockBytes);
        ChunkBytes = Math.Max(LeastChunk, blockBytes);
        while (regionBytes > MostChunks * ChunkBytes) ChunkBytes *= 2;
        _plugged = new ulong[(regionBytes / blockBytes + 63) / 64];
        _ofChunk = new int[(regionBytes + ChunkBytes - 1) / ChunkBytes];
        _kept = new bool[_ofChunk.Length];
    }

    internal ulong RegionBytes { get; }

    internal ulong BlockBytes { get; }

    internal ulong ChunkBytes { get; }

    /// <summary>Guest address of the region, once it has one.</summary>
    internal ulong Start { get; private set; }

    /// <summary>Bytes that are plugged.</summary>
    internal ulong PluggedBytes => (ulong)Volatile.Read(ref _pluggedBytes);

    /// <summary>Bytes of the chunks that are guest memory now.</summary>
    internal ulong PresentBytes
    {
        get
        {
            ulong sum = 0;
            for (int i = 0; i < _ofChunk.Length; i++)
            {
                if (Volatile.Read(ref _ofChunk[i]) != 0 || Volatile.Read(ref _kept[i])) sum += ChunkLength(i);
            }
            return sum;
        }
    }

    /// <summary>Takes a place in guest memory.</summary>
    internal void Place(GuestMemory memory)
    {
        Start = memory.Place(RegionBytes, GuestMemory.PlugAlignment);
        _memory = memory;
    }

    /// <summary>The blocks that a request names; false unless all of them exist. No sum in it can overflow.</summary>
    internal bool TryFind(ulong address, uint count, out int first)
    {
        ulong offset = address - Start;
        first = (int)Math.Min(offset / BlockBytes, int.MaxValue);
        return count != 0 && address >= Start && offset % BlockBytes == 0 && offset < RegionBytes && count <= (RegionBytes - offset) / BlockBytes;
    }

    /// <summary>How many of the blocks are plugged.</summary>
    internal int Count(int first, uint count)
    {
        int sum = 0;
        for (int i = first; i < first + (int)count; i++) sum += IsPlugged(i) ? 1 : 0;
        return sum;
    }

    /// <summary>Plugs blocks, none of which is.</summary>
    /// <exception cref="MicroVmException">The host refuses; none is plugged then.</exception>
    internal void Plug(int first, uint count)
    {
        int done = first;
        try
        {
            for (; done < first + (int)count; done++)
            {
                int chunk = ChunkOf(done);
                if (_ofChunk[chunk] == 0 && !_kept[chunk]) _memory!.Add(StartOf(chunk), ChunkLength(chunk));
                _kept[chunk] = false;
                _ofChunk[chunk]++;
                _plugged[done >> 6] |= 1UL << (done & 63);
            }
        }
        catch
        {
            Unplug(first, (uint)(done - first));
            throw;
        }
        finally
        {
            Sum((long)(done - first));
        }
    }

    /// <summary>Unplugs blocks, all of which are plugged; their pages go back to the host.</summary>
    /// <exception cref="MicroVmException">The host refused somebody who follows the guest's memory; the blocks are
    /// unplugged all the same.</exception>
    internal void Unplug(int first, uint count)
    {
        MicroVmException? refused = null;
        int end = first + (int)count;
        for (int from = first; from < end;)
        {
            int chunk = ChunkOf(from), to = from;
            for (; to < end && ChunkOf(to) == chunk; to++) _plugged[to >> 6] &= ~(1UL << (to & 63));
            _ofChunk[chunk] -= to - from;
            if (_ofChunk[chunk] == 0) refused ??= TakeAway(chunk);
            else if (_memory!.TryRange(Start + (ulong)from * BlockBytes, (ulong)(to - from) * BlockBytes, out HostRange range)) _ = _memory.Discard(range);
            from = to;
        }
        // What was kept may go now.
        for (int i = 0; i < _kept.Length; i++) if (_kept[i]) refused ??= TakeAway(i);
        Sum(-(long)count);
        if (refused is not null) throw refused;
    }

    private MicroVmException? TakeAway(int chunk)
    {
        try
        {
            _kept[chunk] = !_memory!.TryRemove(StartOf(chunk));
            return null;
        }
        catch (MicroVmException e)
        {
            return e;
        }
    }

    /// <summary>Unplugs whatever is plugged.</summary>
    internal void UnplugAll()
    {
        int blocks = (int)(RegionBytes / BlockBytes);
        for (int from = 0; from < blocks;)
        {
            int to = from;
            while (to < blocks && IsPlugged(to)) to++;
            if (to > from) Unplug(from, (uint)(to - from));
            from = to + 1;
        }
    }

    private bool IsPlugged(int block) => (_plugged[block >> 6] >> (block & 63) & 1) != 0;

    private ulong StartOf(int chunk) => Start + (ulong)chunk * ChunkBytes;

    private ulong ChunkLength(int chunk) => Math.Min(ChunkBytes, RegionBytes - (ulong)chunk * ChunkBytes);

    private int ChunkOf(int block) => (int)((ulong)block * BlockBytes / ChunkBytes);

    private void Sum(long blocks) => Volatile.Write(ref _pluggedBytes, _pluggedBytes + blocks * (long)BlockBytes);
}
