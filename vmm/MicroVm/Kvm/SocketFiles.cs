namespace MicroVm.Kvm;

/// <summary>Bytes over a stream socket with open files beside them (SCM_RIGHTS). Nothing waits; answers are counts, or minus the error number.</summary>
internal static unsafe class SocketFiles
{
    /// <summary>Most files that a message carries.</summary>
    internal const int Max = 8;
    private const int FamilyUnix = 1, Stream = 1, NonBlocking = Libc.O_NONBLOCK | Libc.O_CLOEXEC, NoSignal = 0x4000, CloseOnExec = 0x4000_0000, SocketLevel = 1, Rights = 1;
    // struct cmsghdr, and with room for Max descriptors.
    private const int ControlHead = 16, ControlSize = ControlHead + Max * sizeof(int);

    /// <summary>Sends some of the bytes, and all of the files with the first of them.</summary>
    internal static int Send(int fd, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> files)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(files.Length, Max, nameof(files));
        byte* control = stackalloc byte[ControlSize];
        // SAFETY: both are pinned for the call and bound what is given; the files fit into `control`, checked above.
        fixed (byte* p = bytes)
        {
            Libc.IoVec vector = new() { Base = p, Length = (nuint)bytes.Length };
            Libc.MessageHeader message = new() { Vector = &vector, VectorCount = 1 };
            if (!files.IsEmpty)
            {
                *(nuint*)control = (nuint)(ControlHead + files.Length * sizeof(int));
                ((int*)control)[2] = SocketLevel;
                ((int*)control)[3] = Rights;
                files.CopyTo(new Span<int>(control + ControlHead, Max));
                message.Control = control;
                message.ControlLength = (nuint)(ControlHead + (files.Length * sizeof(int) + 7 & ~7));
            }
            nint n;
            do n = Libc.sendmsg(fd, &message, NoSignal); while (n < 0 && Libc.Errno == Libc.EINTR);
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    /// <summary>Receives what is there; 0 at the end. Files that come along are the caller's to close; ones beyond <see cref="Max"/> are closed here.</summary>
    /// <param name="fd">Socket.</param>
    /// <param name="bytes">Filled from the start.</param>
    /// <param name="files">At least <see cref="Max"/> places.</param>
    /// <param name="count">How many files came.</param>
    internal static int Receive(int fd, Span<byte> bytes, Span<int> files, out int count)
    {
        count = 0;
        byte* control = stackalloc byte[ControlSize];
        // SAFETY: as above; the kernel writes at most ControlSize bytes and says how many.
        fixed (byte* p = bytes)
        {
            Libc.IoVec vector = new() { Base = p, Length = (nuint)bytes.Length };
            Libc.MessageHeader message = new() { Vector = &vector, VectorCount = 1, Control = control, ControlLength = ControlSize };
            nint n;
            do n = Libc.recvmsg(fd, &message, CloseOnExec); while (n < 0 && Libc.Errno == Libc.EINTR);
            if (n < 0) return -Libc.Errno;
            if (message.ControlLength >= ControlHead && ((int*)control)[2] == SocketLevel && ((int*)control)[3] == Rights)
            {
                count = Math.Min((int)((*(nuint*)control - ControlHead) / sizeof(int)), Max);
                new Span<int>(control + ControlHead, count).CopyTo(files);
            }
            return (int)n;
        }
    }

    /// <summary>Two sockets that are connected to each other; 0 or minus the error number.</summary>
    internal static int Pair(out int first, out int second)
    {
        int* ends = stackalloc int[2];
        int result = Libc.socketpair(FamilyUnix, Stream | NonBlocking, 0, ends) == 0 ? 0 : -Libc.Errno;
        (first, second) = result == 0 ? (ends[0], ends[1]) : (-1, -1);
        return result;
    }
}
