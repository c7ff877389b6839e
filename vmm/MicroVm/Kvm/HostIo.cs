using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>System calls over spans and guest memory, so that callers need no pointer. Each call retries EINTR and answers bytes, or minus the error number.</summary>
internal static unsafe class HostIo
{
    /// <summary>Writes some of the bytes.</summary>
    internal static int Write(int fd, ReadOnlySpan<byte> bytes)
    {
        // SAFETY: the span is pinned for the call and bounds it.
        fixed (byte* p = bytes)
        {
            nint n;
            do n = Libc.write(fd, p, bytes.Length); while (n < 0 && Libc.Errno == Libc.EINTR);
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    /// <summary>Reads what is there; 0 at the end.</summary>
    internal static int Read(int fd, Span<byte> bytes)
    {
        // SAFETY: the span is pinned for the call and bounds it.
        fixed (byte* p = bytes)
        {
            nint n;
            do n = Libc.read(fd, p, bytes.Length); while (n < 0 && Libc.Errno == Libc.EINTR);
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    /// <summary>Waits until <paramref name="fd"/> can do one of <paramref name="events"/> or has failed.</summary>
    /// <returns>True if it is ready; false after <paramref name="milliseconds"/> (-1: never).</returns>
    internal static bool Wait(int fd, uint events, int milliseconds)
    {
        Libc.PollFd p = new() { Fd = fd, Events = (short)events };
        // EINTR counts as "not yet": every caller waits in a loop.
        return Libc.poll(&p, 1, milliseconds) > 0;
    }

    /// <summary>Waits until one of two descriptors is ready; sets which.</summary>
    internal static void WaitEither(int first, uint firstEvents, int second, uint secondEvents, out bool firstReady, out bool secondReady)
    {
        Libc.PollFd* p = stackalloc Libc.PollFd[2];
        p[0] = new() { Fd = first, Events = (short)firstEvents };
        p[1] = new() { Fd = second, Events = (short)secondEvents };
        int n = Libc.poll(p, 2, -1);
        firstReady = n > 0 && p[0].Returned != 0;
        secondReady = n > 0 && p[1].Returned != 0;
    }

    /// <summary>Waits until one of at most 32 descriptors can be read or has failed; answers a bit for each that is. -1 stands for none.</summary>
    internal static uint WaitAny(ReadOnlySpan<int> descriptors, int milliseconds)
    {
        Libc.PollFd* p = stackalloc Libc.PollFd[descriptors.Length];
        for (int i = 0; i < descriptors.Length; i++) p[i] = new() { Fd = descriptors[i], Events = (short)Libc.EPOLLIN };
        if (Libc.poll(p, (nuint)descriptors.Length, milliseconds) <= 0) return 0;
        uint ready = 0;
        for (int i = 0; i < descriptors.Length; i++) ready |= p[i].Returned != 0 ? 1u << i : 0;
        return ready;
    }

    /// <summary>Whether a descriptor is dead: an error, or an other end that is closed in both directions. What arrived before may still be there to read.</summary>
    internal static bool HasFailed(int fd)
    {
        Libc.PollFd p = new() { Fd = fd };
        return Libc.poll(&p, 1, 0) > 0 && p.Returned != 0;
    }

    /// <summary>Adds a descriptor to an epoll set, changes what it is waited for, or takes it out.</summary>
    /// <returns>0, or the error number.</returns>
    internal static int Watch(int epoll, int operation, int fd, ulong data, uint events = Libc.EPOLLIN)
    {
        Libc.EpollEvent e = new() { Events = events, Data = data };
        return Libc.epoll_ctl(epoll, operation, fd, &e) == 0 ? 0 : Libc.Errno;
    }

    /// <summary>Waits until some of an epoll set are ready and fills in which; answers how many, less than 1 after an interruption.</summary>
    internal static int WaitMany(int epoll, Span<Libc.EpollEvent> ready)
    {
        // SAFETY: the span is pinned for the call and bounds it.
        fixed (Libc.EpollEvent* p = ready) return Libc.epoll_wait(epoll, p, ready.Length, -1);
    }

    /// <summary>Fills up to 256 bytes with random ones of the host. (.NET's own source of them wants OpenSSL, which a static binary does not have.)</summary>
    internal static void FillRandom(Span<byte> bytes)
    {
        // SAFETY: the span is pinned for the call and bounds it; so few bytes come whole.
        fixed (byte* p = bytes)
        {
            if (Libc.getrandom(p, bytes.Length, 0) != bytes.Length) throw MicroVmException.Host("the host gives no random bytes", Libc.Describe(Libc.Errno), "Check its kernel");
        }
    }

    /// <summary>Fills guest memory with random bytes of the host; false if the host has none to give.</summary>
    internal static bool FillRandom(HostRange range)
    {
        ulong done = 0;
        while (done < range.Length)
        {
            // SAFETY: the range is checked guest memory; the count ends inside it. Pieces of 256 bytes and less are never cut short.
            nint n = Libc.getrandom(range.Address + done, (nint)(range.Length - done), 0);
            if (n > 0) done += (ulong)n;
            else if (Libc.Errno != Libc.EINTR) return false;
        }
        return true;
    }
}
