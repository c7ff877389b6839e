using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Memory;

namespace MicroVm.Hotplug;

/// <summary>How far a unit has come.</summary>
internal enum UnitState : byte
{
    /// <summary>Nothing is there.</summary>
    Empty,
    /// <summary>It is there, and the guest has not said yet that it took it.</summary>
    Offered,
    /// <summary>The guest has it.</summary>
    Here,
    /// <summary>The guest has it and was asked to give it back.</summary>
    Asked,
    /// <summary>The guest gave it back, or it is taken away: it is going.</summary>
    Leaving,
}

/// <summary>One thing that comes and goes while the guest runs, a slot or a CPU: what the guest is told, what it answers, and how far it has come (docs/hotplug.md).</summary>
/// <remarks>State is held under the gate of <see cref="Registers"/>. Requests come one at a time from a thread that is no vCPU's; the guest's answers come on vCPUs, which never wait here:
/// what the guest gives back is taken out on a thread of its own, and the guest's <c>_EJ0</c> looks for that to be done.</remarks>
internal sealed class HotplugUnit
{
    private const int StackBytes = 256 << 10;

    private readonly HotplugUnits _all;
    private readonly UnitKind _kind;
    private readonly int _index;
    private UnitState _state;
    private Thread? _leaving;

    /// <param name="all">The machine's units.</param>
    /// <param name="kind">What it is.</param>
    /// <param name="index">Which one of its kind, for messages.</param>
    /// <param name="page">Where the guest reads its registers.</param>
    internal HotplugUnit(HotplugUnits all, UnitKind kind, int index, ResidentPage page)
    {
        (_all, _kind, _index, Page) = (all, kind, index, page);
        Registers = new AcpiUnit(this, page);
    }

    /// <summary>What the guest reads and writes.</summary>
    internal AcpiUnit Registers { get; }

    /// <summary>Where the guest reads them.</summary>
    internal ResidentPage Page { get; }

    /// <summary>Takes out what the guest gave back; on a thread that is no vCPU's and without the gate.</summary>
    internal Action TakeOut { private get; set; } = static () => { };

    /// <summary>The guest may give it back. CPU 0 never goes.</summary>
    internal bool Ejectable { get; init; } = true;

    /// <summary>How far it has come.</summary>
    internal UnitState State
    {
        get { lock (Registers.Gate) return _state; }
    }

    /// <summary>What the guest said instead of doing what it was asked, or null.</summary>
    internal uint? Refusal { get; private set; }

    /// <summary><c>_STA</c> says that it is there.</summary>
    internal bool IsHere => _state != UnitState.Empty;

    /// <summary>It is being taken out; what is there afterwards is something new.</summary>
    internal bool IsLeaving => _state == UnitState.Leaving;

    /// <summary>The guest has said how the last eject ended: it is through with it, and something new may come.</summary>
    internal bool IsSettled { get; private set; }

    /// <summary>The guest is to be told that something came or went.</summary>
    internal bool WantsCheck { get; private set; }

    /// <summary>The guest is to be asked to give it back.</summary>
    internal bool WantsEject { get; private set; }

    /// <summary>It is there from the start, and the guest finds it by itself.</summary>
    internal void Occupy() => Change(UnitState.Here);

    /// <summary>It has been put in: tells the guest.</summary>
    internal void Offer() => Change(UnitState.Offered, check: true);

    /// <summary>Asks the guest to give it back; also one that has not said yet that it took it. False if it is gone or going already.</summary>
    internal bool AskBack()
    {
        lock (Registers.Gate)
        {
            if (_state is UnitState.Empty or UnitState.Leaving) return false;
            Change(UnitState.Asked, eject: true);
            return true;
        }
    }

    /// <summary>Takes it out without asking, and tells the guest. When this returns it is gone. False if it was gone or going already.</summary>
    internal bool Withdraw()
    {
        lock (Registers.Gate)
        {
            if (_state is UnitState.Empty or UnitState.Leaving) return false;
            _state = UnitState.Leaving;
            Registers.Refresh();
        }
        Leave(check: true);
        return true;
    }

    /// <summary>The guest took note of what it was to be told. Under the gate.</summary>
    internal void Told(bool check, bool eject)
    {
        WantsCheck &= !check;
        WantsEject &= !eject;
    }

    /// <summary>The guest gives it back (<c>_EJ0</c>). Under the gate.</summary>
    internal void Eject()
    {
        if (!Ejectable || _state is UnitState.Empty or UnitState.Leaving)
        {
            Complain(Ejectable ? "the guest ejects what is not there" : "the guest ejects what cannot go");
            return;
        }
        UnitState before = _state;
        _state = UnitState.Leaving;
        try
        {
            _leaving = HostThread.Start(() => Leave(check: false), "unplug", _all.Owner, StackBytes);
        }
        catch (MicroVmException e)
        {
            (_state, _leaving) = (before, null);
            _all.Errors.Host?.Say($"{HotplugUnits.Name(_kind)}[{_index}] stays: {e.Message}");
        }
    }

    /// <summary>The guest says how something ended (<c>_OST</c>, ACPI 6.5, 6.3.5). Under the gate.</summary>
    internal void Report(uint source, uint outcome)
    {
        bool insertion = source is AcpiUnitConst.BusCheck or AcpiUnitConst.DeviceCheck or AcpiUnitConst.Insertion;
        if (!insertion && source is not (AcpiUnitConst.EjectRequest or AcpiUnitConst.OwnEject)) Complain("the guest answers what it was never told", "source", source);
        else if (GuestAnswer.IsPending(insertion, outcome)) return;
        else if (!insertion) Ejected(outcome);
        else if (_state == UnitState.Offered) Answer(outcome);
        else if (outcome != (uint)AcpiOutcome.Success) Complain("the guest refuses what it was not asked", "outcome", outcome);
    }

    private void Ejected(uint outcome)
    {
        IsSettled = true;
        if (_state == UnitState.Asked && outcome == (uint)AcpiOutcome.Success) Complain("the guest says that it ejected what it did not eject");
        else if (_state == UnitState.Asked) Answer(outcome);
        else if (outcome != (uint)AcpiOutcome.Success) Complain("the guest refuses what it was not asked", "outcome", outcome);
        _all.Signal();
    }

    /// <summary>Waits until what the guest gave back is out. No vCPU runs any more.</summary>
    internal void Join() => _leaving?.Join();

    private void Answer(uint outcome)
    {
        if (_state == UnitState.Asked || outcome == (uint)AcpiOutcome.Success) _state = UnitState.Here;
        if (outcome != (uint)AcpiOutcome.Success) Refusal = outcome;
        _all.Signal();
    }

    private void Change(UnitState to, bool check = false, bool eject = false)
    {
        lock (Registers.Gate)
        {
            (_state, Refusal) = (to, null);
            if (eject) IsSettled = false;
            (WantsCheck, WantsEject) = (check, eject);
            Registers.Refresh();
        }
        if (check || eject) _all.Announce(_kind);
    }

    private void Leave(bool check)
    {
        try
        {
            TakeOut();
        }
        catch (MicroVmException e)
        {
            _all.Errors.Host?.Say($"{HotplugUnits.Name(_kind)}[{_index}] was not taken out whole: {e.Message}");
        }
        lock (Registers.Gate)
        {
            Change(UnitState.Empty, check);
            // Before anything else can begin here: this thread has then nothing left to do.
            _all.Signal();
        }
    }

    private void Complain(string what, string place = "", ulong number = 0) => _all.Errors.Report(HotplugUnits.Name(_kind), _index, what, place, number);
}
