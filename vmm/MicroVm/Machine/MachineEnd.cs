using MicroVm.Devices;
using MicroVm.Events;

namespace MicroVm;

/// <summary>Decides, once, how the machine ended: the first word counts, whoever says it. Everything that runs watches <see cref="Requested"/>.</summary>
internal sealed class MachineEnd : IPowerSink, IThreadOwner
{
    private readonly Lock _lock = new();
    private MachineResult? _result;
    private readonly ManualResetEventSlim _over = new();
    private Action? _onEnd;
    private volatile bool _requested;

    /// <summary>The machine is ending; vCPUs leave their loops.</summary>
    internal bool Requested => _requested;

    /// <summary>How it ended.</summary>
    internal MachineResult Outcome => _result ?? throw new InvalidOperationException("the machine has not ended");

    /// <summary>Called once, on the thread that ends the machine, or at once if it has ended.</summary>
    internal void OnEnd(Action action)
    {
        lock (_lock) _onEnd = action;
        if (_requested) action();
    }

    /// <summary>Ends the machine, unless it has ended already.</summary>
    internal void Set(MachineResult result)
    {
        Action? action;
        lock (_lock)
        {
            if (_requested) return;
            _result = result;
            _requested = true;
            action = _onEnd;
        }
        action?.Invoke();
        _over.Set();
    }

    /// <summary>Waits until the machine ends; how it did. Not on a thread that it waits for.</summary>
    internal MachineResult Wait()
    {
        _over.Wait();
        return Outcome;
    }

    /// <summary>Ends the machine by name: a bug here must not leave a guest that hangs, nor end other machines.</summary>
    public void OnFailure(string thread, Exception failure) => Set(failure is MicroVmException refused
        ? new MachineResult(EndReason.HostRefused, (int)refused.Kind, refused.Message, null)
        : new MachineResult(EndReason.Crash, MachineResult.StoppedCode,
            $"the monitor failed on thread {thread}: {failure.Message}", failure.ToString()));

    /// <summary>The guest said that its kernel panicked; the vCPU that said so ends the machine, with its registers.</summary>
    internal bool Panicked { get; private set; }

    /// <summary>The guest asked for a reset; the vCPU that asked ends the machine, for it can tell a restart from a
    /// panic's.</summary>
    internal bool ResetAsked { get; private set; }

    public void OnPower(PowerEvent what, byte code)
    {
        if (what == PowerEvent.Panic) Panicked = true;
        else if (what == PowerEvent.Reset) ResetAsked = true;
        else Set(Result(what, code));
    }

    private static MachineResult Result(PowerEvent what, byte code) => what switch
    {
        PowerEvent.Exit => new MachineResult(EndReason.GuestExit, code, $"the guest ended with code {code}", null),
        _ => new MachineResult(EndReason.PowerOff, 0, "the guest powered off", null),
    };
}
