namespace MicroVm;

/// <summary>How a machine came to its end.</summary>
public enum EndReason
{
    /// <summary>The guest wrote its exit code to the exit port.</summary>
    GuestExit,
    /// <summary>The guest powered off.</summary>
    PowerOff,
    /// <summary>The guest asked for a reset. A machine runs once; whoever wants a reboot starts another.</summary>
    Reset,
    /// <summary>The guest's kernel reported a panic.</summary>
    Panic,
    /// <summary>A Linux guest restarted the machine without shutting its devices down: after a panic that its pvpanic
    /// driver did not report, or by order (sysrq-b, <c>reboot=force</c>).</summary>
    EmergencyRestart,
    /// <summary>Triple fault, or something that KVM could not go on after.</summary>
    Crash,
    /// <summary>An assigned device failed, or the host took it back.</summary>
    DeviceLost,
    /// <summary>The host did not give what the machine needed while it ran: a thread.</summary>
    HostRefused,
    /// <summary>Stopped from outside.</summary>
    Stopped,
}

/// <summary>The end of a machine.</summary>
/// <param name="Reason">What ended it.</param>
/// <param name="ExitCode">The guest's code (0-255) with <see cref="EndReason.GuestExit"/>, 0 after power-off and reset,
/// 123 after a panic, an emergency restart or a crash, 125 when it was stopped or the host failed.</param>
/// <param name="Description">One line that says what happened, for people.</param>
/// <param name="CrashReport">After a panic or crash: registers, code around the instruction pointer, the last accesses. Else null.</param>
public sealed record MachineResult(EndReason Reason, int ExitCode, string Description, string? CrashReport)
{
    /// <summary>Bytes of the serial port, the console and named ports that a reader who was there did not get, since it
    /// was too slow or its file could not grow. The oldest ones went first.</summary>
    public long LostOutput { get; init; }

    /// <summary>Exit code of a guest that crashed.</summary>
    public const int CrashedCode = 123;

    /// <summary>Exit code of a machine that was stopped before its guest ended it.</summary>
    public const int StoppedCode = 125;
}
