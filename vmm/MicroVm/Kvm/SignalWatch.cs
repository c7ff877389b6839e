namespace MicroVm.Kvm;

/// <summary>Signals to this process that a vCPU should hear of: each brings the vCPU out of the guest, whichever thread of the process it was delivered to.</summary>
/// <remarks>The runtime's own way (PosixSignalRegistration) costs a start a thread, two descriptors and 150 us or more, as starting a thread waits for it,
/// and it sets the terminal to what it thinks right. Here the handler is 51 bytes of machine code in a page of its own, as a managed handler could fail
/// the process: it notes the signal, sets <c>immediate_exit</c> for the next entry and kicks the vCPU's thread for the current one.</remarks>
internal sealed unsafe class SignalWatch : IDisposable
{
    internal const int SigHup = 1, SigInt = 2, SigQuit = 3, SigTerm = 15, SigCont = 18, SigWinch = 28;

    private const int PageSize = 4096;
    private const int IgnoredBySender = 1;
    private const int ResetAfterFirst = unchecked((int)0x8000_0000), Restart = 0x1000_0000;

    private readonly byte* _code;
    private readonly Shared* _shared;
    private readonly KvmVcpu _vcpu;
    private readonly List<(int Signal, Libc.SigAction Old)> _replaced = [];

    private SignalWatch(KvmVcpu vcpu)
    {
        _vcpu = vcpu;
        _code = (byte*)Libc.mmap(null, 2 * PageSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (_code == Libc.MapFailed) throw KvmVm.Failed("cannot watch for signals", "mmap", "Free some memory");
        // SAFETY: two pages that are never freed, as a handler may be under way on any thread; the first is only executed from here on, the second is data.
        _shared = (Shared*)(_code + PageSize);
        *_shared = new Shared { ImmediateExit = vcpu.ImmediateExit, Process = Libc.getpid(), Thread = Libc.gettid() };
        Handler.CopyTo(new Span<byte>(_code, PageSize));
        if (Libc.mprotect(_code, PageSize, Libc.PROT_READ | Libc.PROT_EXEC) != 0) throw KvmVm.Failed("cannot watch for signals", "mprotect", "Run 'microvm doctor'");
    }

    /// <summary>Watches <paramref name="ending"/>, each once: a second one does what it does by default, with a terminal from <see cref="Unwatch"/> on.
    /// Those that this process was started to ignore (nohup) stay ignored.</summary>
    /// <param name="vcpu">Runs on the calling thread.</param>
    /// <param name="ending">Signals that end the machine.</param>
    /// <param name="terminal">Watches SIGCONT and SIGWINCH too, each time.</param>
    internal static SignalWatch Install(KvmVcpu vcpu, ReadOnlySpan<int> ending, bool terminal)
    {
        KickSignal.Prepare();
        SignalWatch watch = new(vcpu);
        foreach (int signal in ending) watch.Replace(signal, terminal ? 0 : ResetAfterFirst);
        if (!terminal) return watch;
        watch.Replace(SigCont, Restart);
        watch.Replace(SigWinch, Restart);
        return watch;
    }

    /// <summary>The signals that came since the last call, a bit for each. On the vCPU's thread.</summary>
    internal uint Take()
    {
        // The flag first: a signal that comes in between sets it again, so none is lost.
        _vcpu.WithdrawExit();
        return Interlocked.Exchange(ref _shared->Signals, 0);
    }

    /// <summary>From now on a signal that was watched does what it does by default.</summary>
    internal static void Unwatch(int signal)
    {
        Libc.SigAction action = default;
        _ = Libc.sigaction(signal, &action, null);
    }

    /// <summary>Gives the signals back. Before the vCPU is disposed of.</summary>
    public void Dispose()
    {
        foreach ((int signal, Libc.SigAction old) in _replaced)
        {
            Libc.SigAction action = old;
            _ = Libc.sigaction(signal, &action, null);
        }
        _replaced.Clear();
        // A handler that is under way on another thread writes here from now on.
        Volatile.Write(ref *(nint*)&_shared->ImmediateExit, (nint)(&_shared->Nowhere));
    }

    private void Replace(int signal, int flags)
    {
        Libc.SigAction old, action = new() { Handler = _code, Flags = flags };
        if (Libc.sigaction(signal, null, &old) != 0 || (nint)old.Handler == IgnoredBySender) return;
        if (Libc.sigaction(signal, &action, null) == 0) _replaced.Add((signal, old));
    }

    // Offsets are to the data in the next page, from the end of each instruction.
    private static ReadOnlySpan<byte> Handler =>
    [
        0x89, 0xf9,                               // mov ecx, edi
        0xb8, 0x01, 0x00, 0x00, 0x00,             // mov eax, 1
        0xd3, 0xe0,                               // shl eax, cl
        0xf0, 0x09, 0x05, 0xf8, 0x0f, 0x00, 0x00, // lock or [rip+0xff8], eax  Signals
        0x48, 0x8b, 0x05, 0xe9, 0x0f, 0x00, 0x00, // mov rax, [rip+0xfe9]      ImmediateExit
        0xc6, 0x00, 0x01,                         // mov byte [rax], 1
        0x8b, 0x3d, 0xec, 0x0f, 0x00, 0x00,       // mov edi, [rip+0xfec]      Process
        0x8b, 0x35, 0xea, 0x0f, 0x00, 0x00,       // mov esi, [rip+0xfea]      Thread
        0xba, KickSignal.Number, 0x00, 0x00, 0x00,// mov edx, KickSignal
        0xb8, 0xea, 0x00, 0x00, 0x00,             // mov eax, tgkill
        0x0f, 0x05,                               // syscall
        0xc3,                                     // ret
    ];

    private struct Shared
    {
        internal byte* ImmediateExit; // 0
        internal uint Signals;        // 8
        internal int Process;         // 12
        internal int Thread;          // 16
        internal byte Nowhere;
    }
}
