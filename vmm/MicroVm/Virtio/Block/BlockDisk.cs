using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>The host's side of a disk, which its queues share.</summary>
/// <param name="File">The image.</param>
/// <param name="Config">What the driver reads, and the cache's mode that it chooses.</param>
/// <param name="Limiter">Holds transfers to limits, or null.</param>
/// <param name="Engine">What the user wants to move the data.</param>
/// <param name="Errors">Takes what the host does not do.</param>
internal sealed record BlockDisk(FileBackend File, VirtioBlockConfig Config, RateLimiter? Limiter, DiskEngine Engine, BlockErrors Errors)
{
    /// <summary>Most buffers of data in a request: header and status take a descriptor each.</summary>
    internal static readonly int Segments = VirtioBlock.QueueSizes[0] - 2;

    private int _told;
    private volatile string? _engine;

    /// <summary>What moves the data: <c>io_uring</c> or <c>threads</c>; null before the driver has started the
    /// disk.</summary>
    internal string? EngineName => _engine;

    /// <summary>Makes the engine of a queue, for the calling thread. Where the host denies io_uring it is reads and writes on that thread, and the user is told once.</summary>
    internal IBlockEngine OpenEngine(TransferVectors vectors, int rows, EventFd completed)
    {
        _engine = "threads";
        if (Engine == DiskEngine.Threads) return new ThreadEngine(File.File, vectors);
        if (RingEngine.TryOpen(File.File, vectors, rows, completed, out int error) is { } ring)
        {
            _engine = "io_uring";
            return ring;
        }
        if (Interlocked.Exchange(ref _told, 1) == 0) Errors.Say($"no io_uring ({Libc.Describe(error)}): a thread for each queue reads and writes instead");
        return new ThreadEngine(File.File, vectors);
    }
}
