using System.Runtime.InteropServices;
using MicroVm.Kvm;

namespace MicroVm.Events;

/// <summary>A kernel event counter: the one currency between guest doorbells, event loops and interrupts.</summary>
public sealed class EventFd : IDisposable
{
    /// <summary>Makes one with count 0, non-blocking and close-on-exec.</summary>
    /// <exception cref="MicroVmException">The host has no file descriptors left.</exception>
    public EventFd()
    {
        Fd = Libc.eventfd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        if (Fd < 0) throw MicroVmException.Host("cannot make an event", Libc.Describe(Libc.Errno), "Raise the limit of open files (ulimit -n)");
    }

    /// <summary>Makes several, or none.</summary>
    /// <exception cref="MicroVmException">The host has not as many file descriptors left.</exception>
    internal static EventFd[] Several(int count)
    {
        EventFd[] made = new EventFd[count];
        try
        {
            for (int i = 0; i < count; i++) made[i] = new EventFd();
            return made;
        }
        catch
        {
            foreach (EventFd? one in made) one?.Dispose();
            throw;
        }
    }

    /// <summary>The file descriptor, valid until disposal.</summary>
    public int Fd { get; private set; }

    /// <summary>Adds 1 to the count and wakes whoever listens. Never blocks: a full counter already says "signalled".</summary>
    public void Signal()
    {
        ulong one = 1;
        _ = HostIo.Write(Fd, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in one)));
    }

    /// <summary>Takes the count and sets it to 0; returns 0 if nothing was signalled.</summary>
    public ulong Drain()
    {
        ulong count = 0;
        return HostIo.Read(Fd, MemoryMarshal.AsBytes(new Span<ulong>(ref count))) == sizeof(ulong) ? count : 0;
    }

    /// <summary>Whether the count is not 0; takes nothing.</summary>
    public bool IsSignalled => HostIo.Wait(Fd, Libc.EPOLLIN, 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd < 0) return;
        _ = Libc.close(Fd);
        Fd = -1;
    }
}
