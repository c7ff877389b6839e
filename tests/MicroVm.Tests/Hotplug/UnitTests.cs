using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Hotplug;
using Xunit;

namespace MicroVm.Tests.Hotplug;

/// <summary>A unit between a caller and a guest: what each says, and how far the unit then is.</summary>
public sealed class UnitTests : IDisposable
{
    private const uint StatusAt = 0, CommandAt = 4, SourceAt = 8, OutcomeAt = 12;
    private const int CheckTold = 1, EjectTold = 2, Ejected = 4, CheckWanted = 0x100, EjectWanted = 0x200, Here = 0xf;

    private readonly GuestErrors _errors = new(null);
    private readonly HotplugUnits _all;
    private readonly HotplugUnit _unit;
    private int _takenOut;

    public UnitTests()
    {
        _all = new HotplugUnits(new AddressSpace("mmio"), _errors);
        _unit = _all.Add(UnitKind.Slot, 3);
        _unit.TakeOut = () => _takenOut++;
    }

    public void Dispose()
    {
        _unit.Join();
        _all.Dispose();
    }

    [Fact]
    public void A_thing_goes_in_and_out()
    {
        Assert.Equal(0, Status());
        _unit.Offer();
        Assert.Equal(Here | CheckWanted, Status());
        Write(CommandAt, CheckTold);
        Assert.Equal((UnitState.Offered, Here), (_unit.State, Status()));
        Ost(1, 0);
        Assert.Equal(UnitState.Here, _unit.State);
        Assert.True(_unit.AskBack());
        Assert.Equal(Here | EjectWanted, Status());
        Write(CommandAt, EjectTold);
        Ost(3, 0x84);
        Assert.Equal(UnitState.Asked, _unit.State);
        Write(CommandAt, Ejected);
        Assert.True(_all.Wait(() => _unit.State == UnitState.Empty, Environment.TickCount64 + 5000));
        Ost(3, 0);
        Assert.Equal((0, 1, 0L), (Status(), _takenOut, _errors.Count));
    }

    [Theory]
    [InlineData(1), InlineData(2), InlineData(0x80), InlineData(0x81), InlineData(0x83), InlineData(0xffff_ffff)]
    public void A_refused_eject_leaves_it_there(uint outcome)
    {
        _unit.Occupy();
        _unit.AskBack();
        Ost(3, outcome);
        Assert.Equal((UnitState.Here, (uint?)outcome, Here), (_unit.State, _unit.Refusal, Status() & Here));
        Assert.True(_unit.AskBack());
        Assert.Equal((UnitState.Asked, (uint?)null), (_unit.State, _unit.Refusal));
    }

    [Theory]
    [InlineData(0x81), InlineData(1), InlineData(0xdead_beef)]
    public void A_refused_insertion_is_taken_out_again(uint outcome)
    {
        _unit.Offer();
        Ost(1, 0x80);
        Assert.Null(_unit.Refusal);
        Ost(0x200, outcome);
        Assert.Equal((UnitState.Offered, (uint?)outcome), (_unit.State, _unit.Refusal));
        Assert.True(_unit.Withdraw());
        Assert.Equal((UnitState.Empty, 1, CheckWanted), (_unit.State, _takenOut, Status()));
        Assert.False(_unit.Withdraw());
        Assert.False(_unit.AskBack());
    }

    [Fact]
    public void What_the_guest_does_unasked_is_counted_and_changes_nothing()
    {
        (uint Register, uint Value)[] nonsense =
        [
            (CommandAt, Ejected), (CommandAt, uint.MaxValue), (CommandAt, 0), (OutcomeAt, 1), (SourceAt, uint.MaxValue), (OutcomeAt, 0), (SourceAt, 3), (OutcomeAt, 0x81), (SourceAt, 1), (OutcomeAt, 7),
        ];
        foreach ((uint register, uint value) in nonsense) Write(register, value);
        Assert.Equal((UnitState.Empty, 0, 0), (_unit.State, Status(), _takenOut));
        Assert.Equal(6, _errors.Count);
        _unit.Occupy();
        _unit.AskBack();
        Ost(3, 0);
        Assert.Equal(UnitState.Asked, _unit.State);
        Assert.Equal(7, _errors.Count);
    }

    [Fact]
    public void An_eject_while_it_goes_in_takes_it_out_once()
    {
        _unit.Offer();
        Write(CommandAt, Ejected);
        Write(CommandAt, Ejected);
        Write(CommandAt, Ejected | CheckTold | EjectTold);
        Assert.True(_all.Wait(() => _unit.State == UnitState.Empty, Environment.TickCount64 + 5000));
        Ost(1, 0);
        Assert.Equal((UnitState.Empty, 1), (_unit.State, _takenOut));
    }

    [Fact]
    public void What_cannot_go_stays()
    {
        HotplugUnit first = _all.Add(UnitKind.Cpu, 0, ejectable: false);
        first.Occupy();
        Assert.Equal(IoStatus.Ok, first.Registers.Write(CommandAt, 4, Ejected));
        Assert.Equal((UnitState.Here, 1L), (first.State, _errors.Count));
    }

    [Fact]
    public void A_guest_that_says_nothing_is_waited_for_so_long_and_an_end_ends_the_wait()
    {
        Assert.False(_all.Wait(() => false, Environment.TickCount64 + 20));
        _all.End();
        Assert.Contains("the machine ended", Assert.Throws<MicroVmException>(() => _all.Wait(() => false, Environment.TickCount64 + 60_000)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_outcome_has_words()
    {
        foreach (bool insertion in (bool[])[true, false])
        {
            for (uint outcome = 1; outcome < 0x100; outcome++) Assert.NotEmpty(GuestAnswer.Text(insertion, outcome));
        }
        Assert.Equal("the guest did not give it back, data: the device is busy (status 0x82). It stays; see the guest's log.", GuestRefusedException.Refused("data", insertion: false, 0x82).Message);
        Assert.Equal("the guest has not answered, data: 2.5 s. It stays until the guest gives it back: see whether the guest runs and knows ACPI hot-plug.",
            GuestRefusedException.Silent("data", insertion: false, TimeSpan.FromSeconds(2.5)).Message);
    }

    // The page, which is what the guest reads.
    private int Status() => (int)_unit.Page.Load<uint>(StatusAt);

    private void Write(uint register, uint value)
    {
        lock (_unit.Registers.Gate) _ = _unit.Registers.Write(register, 4, value);
    }

    private void Ost(uint source, uint outcome)
    {
        Write(SourceAt, source);
        Write(OutcomeAt, outcome);
    }
}
