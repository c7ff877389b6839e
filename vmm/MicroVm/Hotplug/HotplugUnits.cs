using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Hotplug;

/// <summary>What a unit is.</summary>
internal enum UnitKind : byte { Cpu, Memory, Slot }

/// <summary>All that comes and goes in one machine: the page of their registers, which the guest reads without an exit, and the event that announces them.</summary>
internal sealed class HotplugUnits : IDisposable
{
    // A guest need not say anything after an eject.
    private const int SettleMilliseconds = 1000;

    private readonly ResidentArea _area = new(1);
    private readonly EventFd _answered = new();
    private readonly List<HotplugUnit> _units = [];
    private readonly AddressSpace _mmio;
    private AcpiGed? _ged;
    private volatile bool _ended;

    /// <summary>Makes the page. Adds a memory slot, so it comes before the interrupt controller (docs/decisions/0001).</summary>
    /// <param name="vm">The machine.</param>
    /// <param name="mmio">Where the registers answer.</param>
    /// <param name="errors">Where the guest's mistakes are counted.</param>
    internal HotplugUnits(KvmVm vm, AddressSpace mmio, GuestErrors errors)
    {
        (_mmio, Errors) = (mmio, errors);
        vm.AddMemory(MachineMap.CpuUnits.Start, _area.Length, _area.HostAddress, readOnly: true);
    }

    /// <summary>Units on a page that no guest maps, for tests.</summary>
    internal HotplugUnits(AddressSpace mmio, GuestErrors errors) => (_mmio, Errors) = (mmio, errors);

    internal GuestErrors Errors { get; }

    /// <summary>Hears of a thread that failed.</summary>
    internal IThreadOwner Owner { get; init; } = ThreadOwner.Process;

    /// <summary>Held while parts come or go, and by those who look at all of them. Before every other lock.</summary>
    internal Lock Topology { get; } = new();

    /// <summary>Who announces; made after the page.</summary>
    internal AcpiGed Ged { set => _ged = value; }

    /// <summary>Name of a kind in messages.</summary>
    internal static string Name(UnitKind kind) => kind switch { UnitKind.Cpu => "cpu", UnitKind.Memory => "memory", _ => "pci-slot" };

    /// <summary>Guest address of a unit's registers.</summary>
    internal static ulong Address(UnitKind kind, int index) =>
        kind switch { UnitKind.Cpu => MachineMap.CpuUnits.Start, UnitKind.Memory => MachineMap.MemoryUnits.Start, _ => MachineMap.SlotUnits.Start } + (ulong)index * AcpiUnit.Size;

    /// <summary>Makes one, empty. To be called in the order of the indices of a kind.</summary>
    internal HotplugUnit Add(UnitKind kind, int index, bool ejectable = true)
    {
        ulong address = Address(kind, index);
        HotplugUnit unit = new(this, kind, index, Page(address, AcpiUnit.Size)) { Ejectable = ejectable };
        _units.Add(unit);
        _mmio.Add(address, unit.Registers);
        return unit;
    }

    /// <summary>Makes the registers that say where a memory device is.</summary>
    internal AcpiMemory AddRange(int index)
    {
        ulong address = RangeAddress(index);
        AcpiMemory range = new(Page(address, AcpiMemory.Size));
        _mmio.Add(address, range);
        return range;
    }

    // All of them are in one page.
    private ResidentPage Page(ulong address, uint size) => _area.Page(0).Slice((uint)(address - MachineMap.CpuUnits.Start), (int)size);

    /// <summary>Guest address of the registers that say where a memory device is.</summary>
    internal static ulong RangeAddress(int index) => MachineMap.MemoryRanges.Start + (ulong)index * AcpiMemory.Size;

    /// <summary>Tells the guest to look at the units of a kind.</summary>
    internal void Announce(UnitKind kind) => _ged?.Announce(kind);

    /// <summary>Somebody who waits may look again.</summary>
    internal void Signal() => _answered.Signal();

    /// <summary>The machine ends: nobody waits any longer.</summary>
    internal void End()
    {
        _ended = true;
        Signal();
    }

    /// <summary>Waits for the guest. One request of a machine at a time.</summary>
    /// <param name="decided">Whether it has answered.</param>
    /// <param name="deadline">In the milliseconds of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False if it has not answered by then.</returns>
    /// <exception cref="MicroVmException">The machine ended meanwhile.</exception>
    internal bool Wait(Func<bool> decided, long deadline)
    {
        while (!decided())
        {
            if (_ended) throw MicroVmException.Host("the machine ended", "before its guest answered", "Start another");
            long left = deadline - Environment.TickCount64;
            if (left <= 0) return false;
            _ = HostIo.Wait(_answered.Fd, Libc.EPOLLIN, (int)Math.Min(left, int.MaxValue));
            _ = _answered.Drain();
        }
        return true;
    }

    /// <summary>When a time that begins now is over, for <see cref="Wait"/>.</summary>
    internal static long Deadline(TimeSpan limit) => Environment.TickCount64 + (long)limit.TotalMilliseconds;

    /// <summary>Tells the guest of what was put in and waits until it has taken it; what it refuses is taken out again.</summary>
    /// <param name="unit">Where it was put.</param>
    /// <param name="name">For messages.</param>
    /// <param name="limit">How long the guest may take.</param>
    /// <param name="deadline">The end of that.</param>
    /// <exception cref="MicroVmException">It came back at once. <see cref="GuestRefusedException"/>: the guest refused, or has not answered.</exception>
    internal void PutIn(HotplugUnit unit, string name, TimeSpan limit, long deadline)
    {
        unit.Offer();
        if (!Wait(() => unit.State != UnitState.Offered || unit.Refusal is not null, deadline)) throw GuestRefusedException.Silent(name, insertion: true, limit);
        if (unit is { State: UnitState.Offered, Refusal: { } refusal })
        {
            _ = unit.Withdraw();
            throw GuestRefusedException.Refused(name, insertion: true, refusal);
        }
        if (unit.State != UnitState.Here) throw MicroVmException.Host("the guest gave it back at once", name, "See the guest's log");
    }

    /// <summary>Asks the guest for what is there and waits until it is out.</summary>
    /// <param name="unit">Where it is.</param>
    /// <param name="name">For messages.</param>
    /// <param name="limit">How long the guest may take.</param>
    /// <param name="deadline">The end of that.</param>
    /// <exception cref="GuestRefusedException">The guest refused, or has not answered.</exception>
    internal void AskBack(HotplugUnit unit, string name, TimeSpan limit, long deadline)
    {
        _ = unit.AskBack();
        if (!Wait(() => unit.State is UnitState.Empty or UnitState.Here, deadline)) throw GuestRefusedException.Silent(name, insertion: false, limit);
        if (unit is { State: UnitState.Here, Refusal: { } refusal }) throw GuestRefusedException.Refused(name, insertion: false, refusal);
        WaitUntilSettled(unit);
    }

    /// <summary>Waits a little for the guest to be through with an eject, of which it knows more than that the thing is out: what comes next would be in its way.</summary>
    private void WaitUntilSettled(HotplugUnit unit) => _ = Wait(() => unit.IsSettled, Environment.TickCount64 + SettleMilliseconds);

    /// <summary>Waits until nothing is being taken out. No vCPU runs any more.</summary>
    internal void Join()
    {
        foreach (HotplugUnit unit in _units) unit.Join();
    }

    public void Dispose()
    {
        _area.Dispose();
        _answered.Dispose();
    }
}
