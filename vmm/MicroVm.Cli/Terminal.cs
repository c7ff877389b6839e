using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>The terminal that the guest's console is on: raw while the guest runs, as it was found on every way out.</summary>
internal static class Terminal
{
    private const int StandardInput = 0;

    private static HostTerminal? s_raw;

    /// <summary>True if standard input is a terminal, so that keys reach the guest.</summary>
    internal static bool OnStandardInput => HostTerminal.IsTerminal(StandardInput);

    /// <summary>True if colours are welcome there: a terminal, and the user has not said NO_COLOR.</summary>
    internal static bool IsColour(int fd) => HostTerminal.IsTerminal(fd) && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));

    /// <summary>Makes the terminal at standard input raw, if there is one and this process is in its foreground.</summary>
    /// <param name="found">Gets it before it is raw.</param>
    internal static void EnterRaw(Action<HostTerminal> found)
    {
        HostTerminal? terminal = HostTerminal.TryOpen(StandardInput);
        Volatile.Write(ref s_raw, terminal);
        if (terminal is null) return;
        found(terminal);
        terminal.MakeRaw();
    }

    /// <summary>Raw again after the process was stopped and goes on (SIGCONT): the shell has set the terminal to its own liking meanwhile.</summary>
    internal static void Resume() => Volatile.Read(ref s_raw)?.MakeRaw();

    /// <summary>As it was found. From any thread, more than once.</summary>
    internal static void Restore() => Interlocked.Exchange(ref s_raw, null)?.Restore();
}
