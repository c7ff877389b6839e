using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Rng;

/// <summary>Fills buffers with random bytes of the host, a limited number per request: the driver asks again for more (Virtio 1.2, 5.4.6).</summary>
internal sealed class RngRequests : IChainHandler
{
    /// <summary>Most bytes per request, whatever the buffers hold.</summary>
    internal const uint Limit = 64 << 10;

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        // A request without room is odd but harmless: it is answered with 0 bytes.
        foreach (ref readonly HostRange range in chain.Writable.List)
        {
            uint count = (uint)Math.Min(range.Length, Limit - written);
            if (!HostIo.FillRandom(range.Slice(0, count))) break;
            written += count;
            if (written == Limit) break;
        }
        return true;
    }
}
