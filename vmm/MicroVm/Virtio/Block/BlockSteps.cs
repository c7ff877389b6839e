using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Virtio.Block;

/// <summary>What comes after a step of a request: the next one, for a transfer may end early and an operation may be one that the file system has not, or the end.</summary>
internal static class BlockSteps
{
    private const ulong ZeroBytes = 1 << 16;

    // Made with the first request that wants it, and kept: the host shares one page for all that is never written.
    private static readonly Lazy<HostMapping> s_zeroes = new(static () => HostMapping.Allocate(ZeroBytes));

    /// <summary>Takes the result of a step: bytes moved, 0 or a negated error number. Null if the request, as it stands then, is to be begun again; else its answer.</summary>
    internal static VirtioBlockStatus? Next(ref BlockRequest request, long result, TransferVectors vectors, int row)
    {
        if (result == -Libc.EINTR) return null;
        if (result == -Libc.EAGAIN && !request.Waits)
        {
            request.Waits = true;
            return null;
        }
        if (request.Operation.IsTransfer()) return NextPart(ref request, result, vectors, row);
        if (result == 0) return Done(ref request);
        if (result != -Libc.EOPNOTSUPP || request.Operation == BlockOperation.Flush) return VirtioBlockStatus.IoErr;
        // A discard is a wish; zeroes are an order.
        if (request.Type == VirtioBlockType.Discard) return VirtioBlockStatus.Unsupported;
        request.Operation = BlockOperation.WriteZeroes;
        _ = vectors.Repeat(row, s_zeroes.Value.Range, request.Left);
        return null;
    }

    // 0 before the end: the file was cut short.
    private static VirtioBlockStatus? NextPart(ref BlockRequest request, long result, TransferVectors vectors, int row)
    {
        if (result <= 0) return VirtioBlockStatus.IoErr;
        request.Offset += (ulong)result;
        request.Left -= (ulong)result;
        if (request.Left == 0) return Done(ref request);
        if (request.Operation == BlockOperation.WriteZeroes) _ = vectors.Repeat(row, s_zeroes.Value.Range, request.Left);
        else vectors.Skip(row, (nuint)result);
        return null;
    }

    private static VirtioBlockStatus? Done(ref BlockRequest request)
    {
        if (!request.Durable) return VirtioBlockStatus.Ok;
        (request.Durable, request.Operation) = (false, BlockOperation.Flush);
        return null;
    }
}
