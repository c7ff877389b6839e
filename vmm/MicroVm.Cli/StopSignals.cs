using System.Runtime.InteropServices;
using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>Ends the machine when this process is asked to end, and remembers by what.</summary>
/// <remarks>Until <see cref="Watch"/> has done its work a signal does what it does by default. Registering takes the runtime two descriptors, a thread and
/// some tenths of a millisecond, so without a terminal to restore it happens beside the guest's start, not before it.</remarks>
internal sealed class StopSignals(Machine machine)
{
    private const int SigHup = 1, SigInt = 2, SigQuit = 3, SigTerm = 15;

    // Kept, as a collected registration is one that no longer works.
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _code;
    private string? _by;

    /// <summary>Exit code that says by what the machine was stopped; 0 if by nothing here.</summary>
    internal int ExitCode => Volatile.Read(ref _code);

    /// <summary>What stopped it: <c>SIGTERM</c>.</summary>
    internal string? By => _by;

    /// <summary>Begins to watch: before this returns if <paramref name="now"/>, else on a thread of its own.</summary>
    internal void Watch(bool now)
    {
        if (now)
        {
            Register(terminal: true);
            return;
        }
        new Thread(RegisterQuietly, 256 << 10) { Name = "signals", IsBackground = true }.Start();
    }

    /// <summary>Ends the machine; the second time, the process.</summary>
    internal void Stop(string by, int signal)
    {
        if (Interlocked.CompareExchange(ref _code, ExitCodes.Signal + signal, 0) != 0)
        {
            Terminal.Restore();
            HostProcess.Exit(_code);
        }
        _by = by;
        machine.Stop($"stopped by {by}");
    }

    /// <summary>The monitor's own key for the end: counts as an interrupt from the keyboard.</summary>
    internal void StopByKey() => Stop("Ctrl-A x", SigInt);

    private void Register(bool terminal)
    {
        On(PosixSignal.SIGTERM, "SIGTERM", SigTerm);
        On(PosixSignal.SIGINT, "SIGINT", SigInt);
        On(PosixSignal.SIGHUP, "SIGHUP", SigHup);
        if (!terminal) return;
        On(PosixSignal.SIGQUIT, "SIGQUIT", SigQuit);
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGCONT, static _ => Terminal.Resume()));
    }

    private void RegisterQuietly()
    {
        try
        {
            Register(terminal: false);
        }
        catch (Exception)
        {
            // No descriptors or threads left for it: the signals keep their default effect, which ends the process all the same.
        }
    }

    private void On(PosixSignal signal, string name, int number) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        Stop(name, number);
    }));
}
