namespace MicroVm.Kvm;

/// <summary>A socket that listens at a path and takes the path with it, unless it is another's by then.</summary>
internal sealed class HostListener : IDisposable
{
    private const int GateMilliseconds = 1000;

    private readonly string _path;
    private readonly (ulong Device, ulong Inode)? _own;

    private HostListener(string path, int fd) => (_path, Fd, _own) = (path, fd, At(path));

    /// <summary>The descriptor; -1 after <see cref="Dispose"/>.</summary>
    internal int Fd { get; private set; }

    /// <summary>Listens. One start at a time looks at what was left at the path: two that find the same take it over one
    /// after the other, and the second finds the first.</summary>
    /// <param name="path">One for which <see cref="HostSocket.IsPath"/> holds.</param>
    /// <param name="error">0, or the error number.</param>
    /// <param name="mode">Permissions of the socket, of which the umask takes some away.</param>
    internal static HostListener? TryListen(string path, out int error, int mode = 0x1ff /* 0777 */)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        using HostFile? gate = HostFile.TryOpen(folder, Libc.O_RDONLY | Libc.O_DIRECTORY, out _);
        // Others may hold a lock of a folder that is theirs too: the start does not depend on it.
        if (gate is not null) _ = SpinWait.SpinUntil(() => gate.TryLock(exclusive: true), GateMilliseconds);
        int fd = HostSocket.Listen(path, mode);
        error = fd < 0 ? -fd : 0;
        return fd < 0 ? null : new HostListener(path, fd);
    }

    public void Dispose()
    {
        if (Fd < 0) return;
        // While it listens, so that no other start takes it for a socket that was left behind.
        if (_own is not null && At(_path) == _own) HostSocket.Remove(_path);
        HostSocket.Close(Fd);
        Fd = -1;
    }

    private static (ulong, ulong)? At(string path) =>
        HostSocket.At(path) is { } status ? (status.Device, status.Inode) : null;
}
