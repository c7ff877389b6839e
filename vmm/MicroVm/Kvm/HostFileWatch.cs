namespace MicroVm.Kvm;

/// <summary>Becomes readable when somebody changes a file by system calls, its length among them; not for what is written through a mapping (inotify(7)).</summary>
internal sealed unsafe class HostFileWatch : IDisposable
{
    private const int CloseOnExec = 0x80000, NonBlocking = 0x800;
    private const uint Modify = 2;

    /// <param name="file">Descriptor of the file, which stays the caller's.</param>
    /// <exception cref="MicroVmException">The host has no more watches.</exception>
    internal HostFileWatch(int file)
    {
        Fd = Libc.inotify_init1(CloseOnExec | NonBlocking);
        int watched;
        // The link leads to the file itself, wherever its path leads by now.
        fixed (byte* path = Libc.Path($"/proc/self/fd/{file}")) watched = Fd < 0 ? -1 : Libc.inotify_add_watch(Fd, path, Modify);
        if (watched >= 0) return;
        MicroVmException failure = MicroVmException.Host("cannot watch the file", $"inotify: {Libc.Describe(Libc.Errno)}", "Raise fs.inotify.max_user_instances");
        Dispose();
        throw failure;
    }

    /// <summary>The file descriptor, valid until disposal.</summary>
    internal int Fd { get; private set; }

    /// <summary>Forgets what happened so far.</summary>
    internal void Drain()
    {
        Span<byte> events = stackalloc byte[4096];
        while (HostIo.Read(Fd, events) > 0) { }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd >= 0) _ = Libc.close(Fd);
        Fd = -1;
    }
}
