using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Signals to this process that a vCPU should hear of: each brings the vCPU out of the guest, whichever thread of the process it was delivered to.</summary>
/// <remarks>The runtime's own way (PosixSignalRegistration) costs a start a thread, two descriptors and 150 us or more, as starting a thread waits for it,
/// and it sets the terminal to what it thinks right. Here the handlers are machine code in a page of their own, as a
/// managed handler could fail the process: one notes the signal, sets <c>immediate_exit</c> for the next entry and
/// kicks the vCPU's thread for the current one. A signal that ends the machine sets an alarm besides,
/// for that thread may wait in a device for a host that never answers; the alarm's handler ends the process (
/// <see cref="Arm"/>).</remarks>
internal sealed unsafe class SignalWatch : IDisposable
{
    /// <summary>Seconds that a machine has for its end.</summary>
    internal const int DeadlineSeconds = 5;

    internal const int SigHup = 1, SigInt = 2, SigQuit = 3, SigTerm = 15, SigCont = 18, SigWinch = 28;

    private const int PageSize = 4096;
    private const int IgnoredBySender = 1, SigAlarm = 14, ExitOfSignal = 128;
    // Where the three handlers stand in their page.
    private const int NoteAt = 0, NoteAndArmAt = 0x100, AlarmAt = 0x200;
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
        *_shared = new Shared { ImmediateExit = vcpu.ImmediateExit, Process = Libc.getpid(), Thread = Libc.gettid(),
            Terminal = -1, MessageLength = Message.Length };
        Message.CopyTo(new Span<byte>(_shared->Message, Shared.MessageRoom));
        Emit(NoteAt, [.. Note, 0xc3 /* ret */]);
        Emit(NoteAndArmAt, [.. SetCode, .. Note, .. SetAlarm, 0xc3]);
        Emit(AlarmAt, Alarm);
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
        watch.Replace(SigAlarm, 0, AlarmAt);
        foreach (int signal in ending) watch.Replace(signal, terminal ? 0 : ResetAfterFirst, NoteAndArmAt);
        if (!terminal) return watch;
        watch.Replace(SigCont, Restart, NoteAt);
        watch.Replace(SigWinch, Restart, NoteAt);
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

    /// <summary>The machine is told to end: if it has not in <see cref="DeadlineSeconds"/>, as something of it waits
    /// for a host that does not answer, the process ends as it is, with a line that says so. From any thread.</summary>
    /// <param name="code">Its exit code then.</param>
    internal void Arm(int code)
    {
        Volatile.Write(ref _shared->Code, code);
        _ = Libc.alarm(DeadlineSeconds);
    }

    /// <summary>It has ended in time.</summary>
    internal static void Disarm() => _ = Libc.alarm(0);

    /// <summary>How the terminal was found, for an end by the alarm.</summary>
    internal void Remember(HostTerminal terminal)
    {
        terminal.CopySaved(new Span<byte>(_shared->State, Shared.StateLength));
        Volatile.Write(ref _shared->Terminal, terminal.Descriptor);
    }

    /// <summary>Gives the signals back, but for the alarm, which this process has no other use for. Before the vCPU is disposed of.</summary>
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

    private void Replace(int signal, int flags, int at)
    {
        Libc.SigAction old, action = new() { Handler = _code + at, Flags = flags };
        if (Libc.sigaction(signal, null, &old) != 0 || (nint)old.Handler == IgnoredBySender) return;
        if (Libc.sigaction(signal, &action, null) == 0 && signal != SigAlarm) _replaced.Add((signal, old));
    }

    private static ReadOnlySpan<byte> Message =>
        "microvm: error: the machine did not end in 5 seconds, something of it waits for the host: a disk, a backend. See the host's kernel log; the process was ended.\n"u8;

    // An address of data is the offset of its field, as four bytes at the end of an instruction; Emit makes it relative.
    private static ReadOnlySpan<byte> SetCode =>
    [
        0x8d, 0x8f, ExitOfSignal, 0x00, 0x00, 0x00, // lea ecx, [rdi+128]
        0x89, 0x0d, Shared.CodeAt, 0x00, 0x00, Data, // mov [Code], ecx
    ];

    private static ReadOnlySpan<byte> Note =>
    [
        0x89, 0xf9,                                 // mov ecx, edi
        0xb8, 0x01, 0x00, 0x00, 0x00,               // mov eax, 1
        0xd3, 0xe0,                                 // shl eax, cl
        0xf0, 0x09, 0x05, Shared.SignalsAt, 0x00, 0x00, Data, // lock or [Signals], eax
        0x48, 0x8b, 0x05, Shared.ImmediateExitAt, 0x00, 0x00, Data, // mov rax, [ImmediateExit]
        0xc6, 0x00, 0x01,                           // mov byte [rax], 1
        0x8b, 0x3d, Shared.ProcessAt, 0x00, 0x00, Data, // mov edi, [Process]
        0x8b, 0x35, Shared.ThreadAt, 0x00, 0x00, Data, // mov esi, [Thread]
        0xba, KickSignal.Number, 0x00, 0x00, 0x00,  // mov edx, KickSignal
        0xb8, 0xea, 0x00, 0x00, 0x00,               // mov eax, tgkill
        0x0f, 0x05,                                 // syscall
    ];

    private static ReadOnlySpan<byte> SetAlarm =>
    [
        0xbf, DeadlineSeconds, 0x00, 0x00, 0x00,    // mov edi, seconds
        0xb8, 0x25, 0x00, 0x00, 0x00,               // mov eax, alarm
        0x0f, 0x05,                                 // syscall
    ];

    private static ReadOnlySpan<byte> Alarm =>
    [
        0x8b, 0x3d, Shared.TerminalAt, 0x00, 0x00, Data, // mov edi, [Terminal]
        0xbe, 0x02, 0x54, 0x00, 0x00,               // mov esi, TCSETS
        0x48, 0x8d, 0x15, Shared.StateAt, 0x00, 0x00, Data, // lea rdx, [State]
        0xb8, 0x10, 0x00, 0x00, 0x00,               // mov eax, ioctl
        0x0f, 0x05,                                 // syscall
        0xbf, 0x02, 0x00, 0x00, 0x00,               // mov edi, 2
        0x48, 0x8d, 0x35, Shared.MessageAt, 0x00, 0x00, Data, // lea rsi, [Message]
        0x8b, 0x15, Shared.MessageLengthAt, 0x00, 0x00, Data, // mov edx, [MessageLength]
        0xb8, 0x01, 0x00, 0x00, 0x00,               // mov eax, write
        0x0f, 0x05,                                 // syscall
        0x8b, 0x3d, Shared.CodeAt, 0x00, 0x00, Data, // mov edi, [Code]
        0xb8, 0xe7, 0x00, 0x00, 0x00,               // mov eax, exit_group
        0x0f, 0x05,                                 // syscall
    ];

    // No other bytes of the handlers look like this one behind two zeros.
    private const byte Data = 0xda;

    private void Emit(int at, ReadOnlySpan<byte> code)
    {
        for (int i = 0; i < code.Length; i++)
        {
            _code[at + i] = code[i];
            if (code[i] != Data || i < 3 || code[i - 1] != 0 || code[i - 2] != 0) continue;
            int relative = PageSize + code[i - 3] - (at + i + 1);
            new ReadOnlySpan<byte>(&relative, sizeof(int)).CopyTo(new Span<byte>(_code + at + i - 3, sizeof(int)));
        }
    }

    [StructLayout(LayoutKind.Explicit)]
    private struct Shared
    {
        internal const byte ImmediateExitAt = 0, SignalsAt = 8, ProcessAt = 12, ThreadAt = 16, CodeAt = 20,
            TerminalAt = 24, MessageLengthAt = 28, StateAt = 36, MessageAt = 72;
        // struct termios of the kernel, which is the beginning of the C library's.
        internal const int StateLength = 36, MessageRoom = 256;

        [FieldOffset(ImmediateExitAt)] internal byte* ImmediateExit;
        [FieldOffset(SignalsAt)] internal uint Signals;
        [FieldOffset(ProcessAt)] internal int Process;
        [FieldOffset(ThreadAt)] internal int Thread;
        [FieldOffset(CodeAt)] internal int Code;
        [FieldOffset(TerminalAt)] internal int Terminal;
        [FieldOffset(MessageLengthAt)] internal int MessageLength;
        [FieldOffset(32)] internal byte Nowhere;
        [FieldOffset(StateAt)] internal fixed byte State[StateLength];
        [FieldOffset(MessageAt)] internal fixed byte Message[MessageRoom];
    }
}
