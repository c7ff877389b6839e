using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>Requests through an io_uring: all that a doorbell brought in one system call, and what the host has in memory is done when that call returns.</summary>
internal sealed class RingEngine : IBlockEngine
{
    private readonly IoUring _ring;
    private readonly TransferVectors _vectors;

    private RingEngine(IoUring ring, TransferVectors vectors, int rows) => (_ring, _vectors, Batch) = (ring, vectors, rows);

    public int Batch { get; }

    /// <summary>Makes one for the calling thread; null and an error number if the host has no io_uring for it.</summary>
    internal static RingEngine? TryOpen(HostFile file, TransferVectors vectors, int rows, EventFd completed, out int error) =>
        IoUring.TryOpen((uint)rows, file, completed, out error) is { } ring ? new RingEngine(ring, vectors, rows) : null;

    public void Begin(in BlockRequest request, int row)
    {
        BlockOperation op = request.Operation;
        if (op == BlockOperation.Flush) _ring.Synchronize(request.Id);
        else if (op.IsTransfer()) _ring.Transfer(request.Id, _vectors, row, op != BlockOperation.Read, request.Offset, op.TransferFlags(), request.Waits);
        else _ring.Allocate(request.Id, op.AllocateMode(), request.Offset, request.Left);
    }

    public void Submit() => _ring.Submit();

    public bool TryTake(out ulong id, out long result)
    {
        bool any = _ring.TryTake(out id, out int done);
        result = done;
        return any;
    }

    public void Cancel()
    {
        _ring.Submit();
        _ring.Cancel();
        _ring.Submit();
    }

    public void Wait() => _ring.Wait();

    public void Silence() => _ring.Silence();

    public bool Listen() => _ring.Listen();

    public void Dispose() => _ring.Dispose();
}
