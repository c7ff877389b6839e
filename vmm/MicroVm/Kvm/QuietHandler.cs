namespace MicroVm.Kvm;

/// <summary>A signal handler that does nothing: one <c>ret</c> instruction in a page of its own, as a managed handler
/// could fail the process when the thread is in managed code.</summary>
internal static unsafe class QuietHandler
{
    private const int PageSize = 4096;
    private const int OnStack = 0x0800_0000, Restart = 0x1000_0000;
    private const int BrokenPipe = 13, FileSizeExceeded = 25;   // SIGPIPE, SIGXFSZ
    private const byte Ret = 0xc3;

    private static readonly Lock Making = new();
    private static void* s_code;
    private static bool s_survives;

    /// <summary>Its first byte; valid for as long as the process lives, as a signal may come at any time. Null, with
    /// the error number left as it is, if the host refuses the page.</summary>
    internal static void* Code
    {
        get
        {
            lock (Making)
            {
                if (s_code == null) s_code = Make();
                return s_code;
            }
        }
    }

    /// <summary>From now on a write that has no reader (EPIPE), or would make a file larger than this process may
    /// (EFBIG), is the error that the call answers and not the end of the process.</summary>
    /// <remarks>These are the signals that Linux raises on the thread of an ordinary call and of which a process dies
    /// by default. One that this process handles, or was started to ignore, is left as it is.
    /// It is handled and not ignored: a program that this process starts has the default again.</remarks>
    /// <exception cref="MicroVmException">The host refused the page of the handler.</exception>
    internal static void SurviveFailedWrites()
    {
        if (Volatile.Read(ref s_survives)) return;
        Survive(BrokenPipe);
        Survive(FileSizeExceeded);
        Volatile.Write(ref s_survives, true);
    }

    private static void Survive(int signal)
    {
        Libc.SigAction action = default;
        if (Libc.sigaction(signal, null, &action) != 0 || action.Handler != null) return;
        action = new() { Handler = Code, Flags = OnStack | Restart };
        if (action.Handler == null || Libc.sigaction(signal, &action, null) != 0)
            throw KvmVm.Failed("cannot handle a signal", "sigaction", "Run 'microvm doctor'");
    }

    private static void* Make()
    {
        // SAFETY: a page that is written once, then only executed, and never freed.
        const int Protection = Libc.PROT_READ | Libc.PROT_WRITE, Flags = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS;
        byte* page = (byte*)Libc.mmap(null, PageSize, Protection, Flags, -1, 0);
        if (page == Libc.MapFailed) return null;
        *page = Ret;
        return Libc.mprotect(page, PageSize, Libc.PROT_READ | Libc.PROT_EXEC) == 0 ? page : null;
    }
}
