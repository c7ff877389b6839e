using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>Ends the machine when this process is asked to end, and remembers by what. Made and used on the thread that runs the machine.</summary>
/// <remarks>Before it is made and after it is disposed of a signal does what it does by default, as does the second of a kind.</remarks>
internal sealed class StopSignals : IDisposable
{
    private static ReadOnlySpan<int> Ending => [SignalWatch.SigTerm, SignalWatch.SigInt, SignalWatch.SigHup];

    // With a terminal that is raw, this one must not kill either.
    private static ReadOnlySpan<int> EndingOnTerminal => [SignalWatch.SigTerm, SignalWatch.SigInt, SignalWatch.SigHup, SignalWatch.SigQuit];

    private readonly Machine _machine;
    private readonly SignalWatch _watch;
    private int _code;

    /// <summary>Begins to watch.</summary>
    /// <param name="machine">The machine, which has not run yet.</param>
    /// <param name="terminal">Its console is a terminal that is made raw.</param>
    internal StopSignals(Machine machine, bool terminal)
    {
        _machine = machine;
        Vcpu first = machine.Parts.Vcpus[0];
        _watch = SignalWatch.Install(first.Kvm, terminal ? EndingOnTerminal : Ending, terminal);
        first.Interrupted = Obey;
        machine.Ending = () => _watch.Arm(ExitCode != 0 ? ExitCode : MachineResult.StoppedCode);
        machine.Left = SignalWatch.Disarm;
    }

    /// <summary>The terminal is set back to this also where the process has to be ended.</summary>
    internal void Remember(HostTerminal terminal) => _watch.Remember(terminal);

    /// <summary>The machine is disposed of, which may wait for the host as well. Also after <see cref="Dispose"/>.</summary>
    /// <param name="code">Exit code of the process if it does not come back.</param>
    internal void LimitDisposal(int code) => _watch.Arm(code);

    /// <summary>Exit code that says by what the machine was stopped; 0 if by nothing here.</summary>
    internal int ExitCode => Volatile.Read(ref _code);

    /// <summary>The monitor's own key for the end: counts as an interrupt from the keyboard. From any thread.</summary>
    internal void StopByKey() => Stop("Ctrl-A x", SignalWatch.SigInt);

    public void Dispose() => _watch.Dispose();

    private void Obey()
    {
        uint signals = _watch.Take();
        if (Has(SignalWatch.SigCont)) Terminal.Resume();
        // While the process was stopped the window may have changed too.
        if (Has(SignalWatch.SigWinch) || Has(SignalWatch.SigCont)) _machine.TerminalResized();
        foreach (int signal in EndingOnTerminal)
        {
            if (!Has(signal)) continue;
            Stop(Name(signal), signal);
            SignalWatch.Unwatch(signal);
        }

        bool Has(int signal) => (signals & 1u << signal) != 0;
    }

    private void Stop(string by, int signal)
    {
        if (Interlocked.CompareExchange(ref _code, ExitCodes.Signal + signal, 0) != 0) return;
        Terminal.Restore();
        _machine.Stop($"stopped by {by}", ExitCodes.Signal + signal);
    }

    private static string Name(int signal) => signal switch
    {
        SignalWatch.SigHup => "SIGHUP",
        SignalWatch.SigInt => "SIGINT",
        SignalWatch.SigQuit => "SIGQUIT",
        _ => "SIGTERM",
    };
}
