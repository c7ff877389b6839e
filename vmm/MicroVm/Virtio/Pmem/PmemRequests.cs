using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Pmem;

/// <summary>Serves flushes (Virtio 1.2, 5.19.6): each is one fsync of the file.</summary>
internal sealed class PmemRequests(PmemFile file) : IChainHandler
{
    private static readonly int s_answerBytes = Unsafe.SizeOf<VirtioPmemResponse>();

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        if (chain.Writable.Length < s_answerBytes) return false;
        VirtioPmemRequest request = default;
        bool ok = chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioPmemRequest>(ref request))) && request.Type == VirtioPmemConst.Flush && file.Flush();
        VirtioPmemResponse response = new() { Result = ok ? 0u : 1u };
        written = chain.Writable.Fill(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioPmemResponse>(in response)));
        return true;
    }
}
