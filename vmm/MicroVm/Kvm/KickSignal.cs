namespace MicroVm.Kvm;

/// <summary>The signal that brings a vCPU thread out of the guest. Its handler does nothing; the interrupted <c>KVM_RUN</c> is the effect.</summary>
/// <remarks>The runtime owns SIGRTMIN (34), so ours is above it. A managed handler could fail the process when the thread is in managed code, so the handler is
/// one <c>ret</c> instruction in a page of its own, made when the first machine is stopped from outside.</remarks>
internal static unsafe class KickSignal
{
    internal const int Number = 36;
    private const byte Ret = 0xc3;

    private static readonly Lock Installing = new();
    private static bool s_installed;

    /// <summary>From now on the signal can be sent by whatever means.</summary>
    internal static void Prepare()
    {
        lock (Installing)
        {
            if (!s_installed) Install();
            s_installed = true;
        }
    }

    /// <summary>Interrupts a thread of this process; nothing happens if it has ended.</summary>
    internal static void Send(int threadId)
    {
        Prepare();
        _ = Libc.tgkill(Libc.getpid(), threadId, Number);
    }

    private static void Install()
    {
        // SAFETY: a page that is written once, then only executed, and never freed, as a signal may come at any time.
        byte* page = (byte*)Libc.mmap(null, 4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (page == Libc.MapFailed) throw KvmVm.Failed("cannot stop the guest", "mmap", "Send SIGKILL");
        *page = Ret;
        Libc.SigAction action = new() { Handler = page };
        if (Libc.mprotect(page, 4096, Libc.PROT_READ | Libc.PROT_EXEC) != 0 || Libc.sigaction(Number, &action, null) != 0)
        {
            throw KvmVm.Failed("cannot stop the guest", "sigaction", "Send SIGKILL");
        }
    }
}
