using MicroVm;

namespace Guest.Tests;

/// <summary>Row S3: the ports by which the guest ends the machine.</summary>
public sealed class PowerTests
{
    private const int Exit = 0xf4, Panic = 0x505, Sleep = 0x600, Reset = 0x602, Keyboard = 0x64;

    [KvmTheory]
    [InlineData(Sleep, 0x34, EndReason.PowerOff, 0)]
    [InlineData(Sleep, 0xf7, EndReason.PowerOff, 0)] // bits that say nothing
    [InlineData(Reset, 0x01, EndReason.Reset, 0)]
    [InlineData(Keyboard, 0xfe, EndReason.Reset, 0)]
    [InlineData(Panic, 0x01, EndReason.Panic, MachineResult.CrashedCode)]
    [InlineData(Panic, 0xff, EndReason.Panic, MachineResult.CrashedCode)]
    [InlineData(Exit, 0x00, EndReason.GuestExit, 0)]
    [InlineData(Exit, 0xff, EndReason.GuestExit, 255)]
    [InlineData(0x80, 0xff, EndReason.GuestExit, 42)] // a port without a meaning: the guest's own end follows
    public void S3_OfAllBytesAndWidthsOnlyTheDocumentedOnesEndTheMachine(int port, int value, EndReason reason, int code)
    {
        using Machine machine = Machine.Create(Machines.Options("power", $"{(port << 8) | value}"));
        MachineResult end = machine.Run();
        Assert.Equal((reason, code), (end.Reason, end.ExitCode));
        Assert.InRange(machine.Exits, 10_000, 20_000); // all the others came before
    }
}
