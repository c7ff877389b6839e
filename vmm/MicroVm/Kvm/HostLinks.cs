using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Readable when some interface of the host changed (rtnetlink, group "link"). What changed is asked of the interface itself, so nothing is lost when news is.</summary>
internal sealed unsafe class HostLinks : IDisposable
{
    private const int FamilyNetlink = 16, Raw = 3, Route = 0, GroupLink = 1, BatchBytes = 8192;

    /// <summary>Opens it; null where the host lets nobody hear of its interfaces, and then nobody does.</summary>
    internal static HostLinks? TryOpen()
    {
        int fd = Libc.socket(FamilyNetlink, Raw | Libc.O_NONBLOCK | Libc.O_CLOEXEC, Route);
        if (fd < 0) return null;
        Address address = new() { Family = FamilyNetlink, Groups = GroupLink };
        if (Libc.bind(fd, &address, sizeof(Address)) == 0) return new HostLinks { Fd = fd };
        _ = Libc.close(fd);
        return null;
    }

    /// <summary>The descriptor.</summary>
    internal int Fd { get; private init; }

    /// <summary>Takes all news.</summary>
    internal void Drain()
    {
        Span<byte> batch = stackalloc byte[BatchBytes];
        // Also after an overflow, which is an error once.
        while (HostIo.Read(Fd, batch) is not -Libc.EAGAIN and not 0) { }
    }

    public void Dispose() => _ = Libc.close(Fd);

    /// <summary><c>struct sockaddr_nl</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Address
    {
        internal ushort Family, Padding;
        internal uint Process, Groups;
    }
}
