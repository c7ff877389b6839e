using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>Moves data between an image and guest memory for one queue, on that queue's thread. It knows nothing of virtio.</summary>
internal interface IBlockEngine : IDisposable
{
    /// <summary>Requests that are worth beginning before <see cref="Submit"/>.</summary>
    int Batch { get; }

    /// <summary>Begins a request, or goes on with one; its buffers stand in the vectors' row.</summary>
    void Begin(in BlockRequest request, int row);

    /// <summary>Hands over what was begun.</summary>
    void Submit();

    /// <summary>Takes one that is done: bytes moved, or the negated error number.</summary>
    bool TryTake(out ulong id, out long result);

    /// <summary>Hands over what was begun, and takes back what the host has not begun: it ends with an error.</summary>
    void Cancel();

    /// <summary>Waits until there may be one.</summary>
    void Wait();

    /// <summary>No event for what is done, for somebody looks anyway.</summary>
    void Silence();

    /// <summary>An event for what is done from now on; true if something is already.</summary>
    bool Listen();
}

/// <summary>How an operation looks to Linux.</summary>
internal static class BlockOperations
{
    internal static bool IsTransfer(this BlockOperation operation) => operation is BlockOperation.Read or BlockOperation.Write or BlockOperation.WriteThrough or BlockOperation.WriteZeroes;

    internal static int TransferFlags(this BlockOperation operation) => operation == BlockOperation.WriteThrough ? Libc.RWF_DSYNC : 0;

    // Neither makes the file longer, whatever became of it meanwhile.
    internal static int AllocateMode(this BlockOperation operation) =>
        Libc.FALLOC_FL_KEEP_SIZE | (operation == BlockOperation.PunchHole ? Libc.FALLOC_FL_PUNCH_HOLE : Libc.FALLOC_FL_ZERO_RANGE);
}
