namespace MicroVm.Kvm;

/// <summary>The signal that brings a vCPU thread out of the guest. Its handler does nothing; the interrupted <c>KVM_RUN</c> is the effect.</summary>
/// <remarks>The runtime owns SIGRTMIN (34), so ours is above it.</remarks>
internal static unsafe class KickSignal
{
    internal const int Number = 36;

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
        Libc.SigAction action = new() { Handler = QuietHandler.Code };
        if (action.Handler == null || Libc.sigaction(Number, &action, null) != 0)
            throw KvmVm.Failed("cannot stop the guest", "sigaction", "Send SIGKILL");
    }
}
