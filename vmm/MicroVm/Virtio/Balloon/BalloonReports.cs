using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Balloon;

/// <summary>Free memory that the guest reports by itself (Virtio 1.2, 5.5.6.7): each buffer is a run of free pages, which the guest does not use before the answer.</summary>
internal sealed class BalloonReports(GuestMemory memory, BalloonCounters counters) : IChainHandler
{
    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        foreach (ref readonly HostRange range in chain.Writable.List)
        {
            HostRange whole = range.WholePages;
            if (whole.Length == 0) continue;
            ulong pages = whole.Length / GuestMemory.PageSize;
            if (memory.Discard(whole)) counters.CountReported(pages);
            else counters.CountIgnored(pages);
        }
        return true;
    }
}
