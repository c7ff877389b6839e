using System.Runtime.InteropServices;
using System.Text;

namespace MicroVm.Kvm;

/// <summary>Stream sockets in the file system, none of which ever waits. Calls answer a descriptor or a count, or minus the error number.</summary>
internal static unsafe class HostSocket
{
    /// <summary>Longest path.</summary>
    internal const int MaxPath = 107;
    private const int FamilyUnix = 1, Stream = 1, NonBlocking = Libc.O_NONBLOCK | Libc.O_CLOEXEC, NoSignal = 0x4000, ShutWrite = 1, SetFlags = 4, Backlog = 128;

    /// <summary>Whether a socket can have this path, and <paramref name="more"/> bytes behind it.</summary>
    internal static bool IsPath(string path, int more = 0) => path.Length > 0 && !path.Contains('\0') && Encoding.UTF8.GetByteCount(path) <= MaxPath - more;

    /// <summary>Listens at a path. A socket that a process of this user left behind is replaced, anything else is not.</summary>
    /// <param name="path">One that <see cref="IsPath"/>.</param>
    /// <param name="mode">Permissions of the socket, of which the umask takes some away: who may connect.</param>
    internal static int Listen(string path, int mode = 0x1ff /* 0777 */)
    {
        int fd = Libc.socket(FamilyUnix, Stream | NonBlocking, 0);
        if (fd < 0) return -Libc.Errno;
        // Before there is a path, so that nobody else connects for a moment.
        if (Libc.fchmod(fd, mode) != 0) return Closed(fd, -Libc.Errno);
        Address address = Address.Of(path);
        int error = Libc.bind(fd, &address, sizeof(Address)) == 0 ? 0 : Libc.Errno;
        if (error == Libc.EADDRINUSE && TryRemoveStale(path)) error = Libc.bind(fd, &address, sizeof(Address)) == 0 ? 0 : Libc.Errno;
        if (error == 0 && Libc.listen(fd, Backlog) != 0) error = Libc.Errno;
        return error == 0 ? fd : Closed(fd, -error);
    }

    /// <summary>Takes the next connection.</summary>
    internal static int Accept(int listener)
    {
        int fd = Libc.accept4(listener, null, null, NonBlocking);
        return fd < 0 ? -Libc.Errno : fd;
    }

    /// <summary>Connects to a path at once or not at all.</summary>
    internal static int Connect(string path)
    {
        if (!IsPath(path)) return -Libc.EINVAL;
        int fd = Libc.socket(FamilyUnix, Stream | NonBlocking, 0);
        if (fd < 0) return -Libc.Errno;
        Address address = Address.Of(path);
        if (Libc.connect(fd, &address, sizeof(Address)) == 0) return fd;
        return Closed(fd, -Libc.Errno);
    }

    /// <summary>Makes two connected ones; 0, or the error number. The second is for another program and waits, as programs expect.</summary>
    internal static int Pair(out int first, out int second)
    {
        int* ends = stackalloc int[2];
        int error = Libc.socketpair(FamilyUnix, Stream | Libc.O_CLOEXEC, 0, ends) == 0 ? 0 : Libc.Errno;
        (first, second) = error == 0 ? (ends[0], ends[1]) : (-1, -1);
        if (error == 0) _ = Libc.fcntl(first, SetFlags, Libc.O_NONBLOCK);
        return error;
    }

    /// <summary>Sends some of the bytes; a reader that is gone is an error, not a signal.</summary>
    internal static int Send(int fd, ReadOnlySpan<byte> bytes)
    {
        // SAFETY: the span is pinned for the call and bounds it.
        fixed (byte* p = bytes)
        {
            nint n;
            do n = Libc.send(fd, p, bytes.Length, NoSignal); while (n < 0 && Libc.Errno == Libc.EINTR);
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    /// <summary>Ends this side's stream; the other direction goes on.</summary>
    internal static void EndOutput(int fd) => _ = Libc.shutdown(fd, ShutWrite);

    internal static void Close(int fd) => _ = Libc.close(fd);

    internal static void Remove(string path)
    {
        fixed (byte* p = Libc.Path(path)) _ = Libc.unlink(p);
    }

    private static int Closed(int fd, int error)
    {
        _ = Libc.close(fd);
        return error;
    }

    private static bool TryRemoveStale(string path)
    {
        int other = Connect(path);
        if (other >= 0) Close(other);
        // A file of another kind refuses connections too.
        if (other != -Libc.ECONNREFUSED || !IsOwnSocket(path)) return false;
        Remove(path);
        return true;
    }

    private static bool IsOwnSocket(string path) =>
        At(path) is { Kind: HostFileKind.Socket } status && status.Owner == HostFile.EffectiveUser;

    /// <summary>What stands at a path, a link itself and not what it leads to; null if nothing does.</summary>
    internal static HostFileStatus? At(string path)
    {
        int fd = Libc.Open(path, Libc.O_PATH | Libc.O_NOFOLLOW);
        if (fd < 0) return null;
        using HostFile file = HostFile.FromDescriptor(fd);
        return file.TryStatus(out HostFileStatus status, out _) ? status : null;
    }

    /// <summary><c>struct sockaddr_un</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Address
    {
        private ushort _family;
        private fixed byte _path[MaxPath + 1];

        // SAFETY: the caller made sure that the path fits, with the zero that ends it.
        internal static Address Of(string path)
        {
            Address address = new() { _family = FamilyUnix };
            Libc.Path(path).CopyTo(new Span<byte>(address._path, MaxPath + 1));
            return address;
        }
    }
}
