using MicroVm.Kvm;

namespace MicroVm.Events;

/// <summary>Output of the guest on its way to a file descriptor of the host.</summary>
/// <remarks>The descriptor may be a pipe, a terminal, a socket or a file, blocking or not; a reader that has gone
/// (EPIPE, EIO) turns the pump into a counter.
/// The pump does not own the descriptor.</remarks>
public sealed class OutputPump : BufferedOutput
{
    // One write; a pipe that polls writable takes this much without blocking (PIPE_BUF).
    private readonly byte[] _chunk = new byte[ChunkSize];
    private readonly int _fd;

    /// <summary>Makes a pump; its thread starts with the first byte, and bytes for which the host gives none are dropped.</summary>
    /// <param name="fd">Where the bytes go; -1 throws them away.</param>
    /// <param name="name">Name of the thread.</param>
    /// <param name="capacity">Bytes of the ring, a power of two.</param>
    /// <param name="owner">Hears if the thread fails; null for a pump outside a machine.</param>
    public OutputPump(int fd, string name, int capacity = DefaultCapacity, IThreadOwner? owner = null)
        : base(name, capacity, owner)
    {
        _fd = fd;
        if (fd < 0) Abandon();
    }

    private protected override void HandOn()
    {
        int count = Take(_chunk, inHand: true);
        ReadOnlySpan<byte> bytes = _chunk.AsSpan(0, count);
        while (!bytes.IsEmpty && !ReaderGone)
        {
            // Wait for room first: a blocking descriptor would otherwise hold this thread where Dispose cannot wake it.
            HostIo.WaitEither(Wake.Fd, Libc.EPOLLIN, _fd, Libc.EPOLLOUT, out bool woken, out bool ready);
            if (woken) Wake.Drain();
            if (Stopping) break;
            if (!ready) continue;
            int written = HostIo.Write(_fd, bytes);
            if (written >= 0)
            {
                Settle(written, lost: false);
                bytes = bytes[written..];
            }
            // A file that may not grow, for want of space or for a limit, takes what comes when it may again.
            else if (written is -Libc.ENOSPC or -Libc.EDQUOT or -Libc.EFBIG) break;
            else if (written != -Libc.EAGAIN) Abandon();
        }
        Settle(bytes.Length, lost: true);
    }
}
