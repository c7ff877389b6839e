using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>A transmit queue: what the guest wrote goes into the pump, which never waits for its reader.</summary>
internal sealed class ConsoleOutput(IOutputSink? output) : IChainHandler
{
    // More than a driver's page at a time; the pump's ring is smaller than what a hostile chain can hold.
    private const ulong Limit = 1 << 20;

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        ulong left = Limit;
        foreach (ref readonly HostRange range in chain.Readable.List)
        {
            ulong count = Math.Min(range.Length, left);
            output?.Write(range.Slice(0, count).Span);
            left -= count;
        }
        return true;
    }
}
