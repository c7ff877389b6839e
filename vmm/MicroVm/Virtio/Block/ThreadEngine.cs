using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>One request after the other, on the queue's thread: for hosts that have no io_uring to give.</summary>
internal sealed class ThreadEngine(HostFile file, TransferVectors vectors) : IBlockEngine
{
    private ulong _id;
    private long _result;

    public int Batch => 1;

    public void Begin(in BlockRequest request, int row)
    {
        _id = request.Id;
        _result = request.Operation switch
        {
            BlockOperation.Flush => file.Flush(),
            var op when op.IsTransfer() => file.Transfer(vectors, row, op != BlockOperation.Read, request.Offset, op.TransferFlags()),
            var op => file.Allocate(op.AllocateMode(), request.Offset, request.Left),
        };
    }

    public void Submit() { }

    public bool TryTake(out ulong id, out long result)
    {
        (id, result) = (_id, _result);
        _id = 0;
        return id != 0;
    }

    public void Cancel() { }

    public void Wait() { }

    public void Silence() { }

    public bool Listen() => _id != 0;

    public void Dispose() { }
}
