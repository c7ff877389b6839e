namespace MicroVm.Kvm;

/// <summary>A timer that makes a descriptor readable once, for an event loop. Added with <c>edge</c>, it needs no reading.</summary>
internal sealed unsafe class HostTimer : IDisposable
{
    private const int ClockMonotonic = 1, CloseOnExec = 0x80000, NonBlocking = 0x800;

    /// <summary>Makes one that is not set.</summary>
    /// <exception cref="MicroVmException">The host has no file descriptors left.</exception>
    internal HostTimer()
    {
        Fd = Libc.timerfd_create(ClockMonotonic, CloseOnExec | NonBlocking);
        if (Fd < 0) throw MicroVmException.Host("cannot make a timer", Libc.Describe(Libc.Errno), "Raise the limit of open files (ulimit -n)");
    }

    /// <summary>The file descriptor, valid until disposal.</summary>
    internal int Fd { get; private set; }

    /// <summary>Goes off once, after so many nanoseconds; replaces what was set before.</summary>
    internal void Set(long nanoseconds)
    {
        // 0 would take it back.
        nanoseconds = Math.Max(1, nanoseconds);
        Libc.TimerSpec spec = new() { Seconds = nanoseconds / 1_000_000_000, Nanoseconds = nanoseconds % 1_000_000_000 };
        _ = Libc.timerfd_settime(Fd, 0, &spec, null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd >= 0) _ = Libc.close(Fd);
        Fd = -1;
    }
}
