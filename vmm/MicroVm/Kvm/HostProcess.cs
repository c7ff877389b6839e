namespace MicroVm.Kvm;

/// <summary>This process as its starter left it, and its end.</summary>
internal static unsafe class HostProcess
{
    private const int F_GETFD = 1;
    private const int StandardDescriptors = 3;

    /// <summary>Opens <c>/dev/null</c> in the place of each standard descriptor that the starter closed: else the next file that is opened,
    /// a disk for example, would become standard output.</summary>
    internal static void FillStandardDescriptors()
    {
        for (int fd = 0; fd < StandardDescriptors; fd++)
        {
            if (Libc.fcntl(fd, F_GETFD, 0) >= 0) continue;
            // The lowest free number is given out, and all below are taken.
            fixed (byte* path = "/dev/null\0"u8) _ = Libc.open(path, Libc.O_RDWR, 0);
        }
    }

    /// <summary>Ends the process now: no finalizer, no handler, nothing flushed.</summary>
    internal static void Exit(int code) => Libc._exit(code);
}
