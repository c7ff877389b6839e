using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Balloon;

/// <summary>Page numbers that the guest gives up or takes back (Virtio 1.2, 5.5.6). Those given up go back to the host, neighbours together; taking back needs nothing, for a touch brings a fresh page.</summary>
/// <param name="memory">The guest's memory.</param>
/// <param name="counters">Where it is counted.</param>
/// <param name="transport">Where the guest's mistakes are reported.</param>
/// <param name="inflates">The guest gives up.</param>
internal sealed class BalloonPages(GuestMemory memory, BalloonCounters counters, IVirtioTransport transport, bool inflates) : IChainHandler
{
    /// <summary>Most page numbers of a request that are looked at: 64 MiB of memory. Linux sends 256.</summary>
    internal const uint Limit = 1 << 14;
    private const int Batch = 256;

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        Span<uint> pages = stackalloc uint[Batch];
        uint count = chain.Readable.Length / sizeof(uint), left = Math.Min(count, Limit);
        if (left != count) Ignore(count - left, "gives up more pages at once than are looked at", Limit);
        while (left != 0)
        {
            Span<uint> batch = pages[..(int)Math.Min(left, Batch)];
            if (!chain.Readable.TryTake(MemoryMarshal.AsBytes(batch))) break;
            if (inflates) Inflate(batch);
            else counters.CountDeflated((ulong)batch.Length);
            left -= (uint)batch.Length;
        }
        return true;
    }

    private void Inflate(ReadOnlySpan<uint> pages)
    {
        ulong start = 0, end = 0;
        foreach (uint page in pages)
        {
            ulong address = (ulong)page << (int)VirtioBalloonConst.PageShift;
            if (!memory.TryRange(address, GuestMemory.PageSize, out _))
            {
                Ignore(1, "gives up a page that is no RAM", page);
                continue;
            }
            // Linux takes pages from the top of its free lists: neighbours come in either order.
            if (address == end) end += GuestMemory.PageSize;
            else if (address + GuestMemory.PageSize == start) start = address;
            else
            {
                Discard(start, end);
                (start, end) = (address, address + GuestMemory.PageSize);
            }
        }
        Discard(start, end);
    }

    private void Discard(ulong start, ulong end)
    {
        if (start == end) return;
        ulong pages = (end - start) / GuestMemory.PageSize;
        // Each page was RAM a moment ago; not so all of them if memory was taken away since.
        if (memory.TryRange(start, end - start, out HostRange range) && memory.Discard(range)) counters.CountInflated(pages);
        else counters.CountIgnored(pages);
    }

    private void Ignore(uint pages, string what, ulong number)
    {
        counters.CountIgnored(pages);
        transport.GuestError(what, "page", number);
    }
}
