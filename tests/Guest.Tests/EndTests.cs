using System.Diagnostics;
using System.Globalization;
using MicroVm;

namespace Guest.Tests;

/// <summary>How machines end.</summary>
public sealed class EndTests
{
    [KvmFact]
    public void GuestEndsWithItsOwnCode()
    {
        MachineResult end = Machines.Run(Machines.Options("onepage"));
        Assert.Equal((EndReason.GuestExit, 42), (end.Reason, end.ExitCode));
    }

    [KvmFact]
    public void C1_TripleFaultIsACrashWithAReport()
    {
        MachineResult end = Machines.Run(Machines.Options("triple"));
        Assert.Equal((EndReason.Crash, MachineResult.CrashedCode), (end.Reason, end.ExitCode));
        Assert.Contains("rip ", end.CrashReport);
        Assert.Contains("accesses, oldest first", end.CrashReport);
    }

    [KvmFact]
    public void C2_CodeWhereNothingIsEndsWithANameAndRegisters()
    {
        using Machine machine = Machine.Create(Machines.Options("fetch"));
        MachineResult end = machine.Run();
        Assert.Equal((EndReason.Crash, MachineResult.CrashedCode), (end.Reason, end.ExitCode));
        Assert.StartsWith("the guest crashed: ", end.Description, StringComparison.Ordinal);
        Assert.Contains("rip 00000000d0000000", end.CrashReport);
        Assert.Equal(1, machine.Parts.Vcpus[0].Exits); // and no second try
    }

    [KvmTheory]
    [InlineData(1)]
    [InlineData(20_000)]
    public void C4_RandomLeavesAndModelSpecificRegistersFaultInTheGuestOnly(int times)
    {
        MachineResult end = Machines.Run(Machines.Options("sweep", times.ToString(CultureInfo.InvariantCulture)));
        Assert.Equal((EndReason.GuestExit, 42), (end.Reason, end.ExitCode));
    }

    [KvmFact]
    public async Task C3_AGuestThatLoopsIsStopped()
    {
        await using Machine machine = Machine.Create(Machines.Options("loop"));
        Task<MachineResult> run = machine.RunAsync();
        Assert.NotEmpty(machine.Explain("gva", 0x10_0000, 0)); // asked in the guest, to which it goes back
        Assert.False(run.IsCompleted);
        long start = Stopwatch.GetTimestamp();
        machine.Stop("test");
        MachineResult end = await run.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(EndReason.Stopped, end.Reason);
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(1));
    }

    [KvmFact]
    public async Task AGuestThatHaltsForGoodIsStoppedByCancelling()
    {
        await using Machine machine = Machine.Create(Machines.Options("halt"));
        using CancellationTokenSource cancel = new(TimeSpan.FromMilliseconds(100));
        MachineResult end = await machine.RunAsync(cancel.Token).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(EndReason.Stopped, end.Reason);
    }

    [KvmFact]
    public void AMachineThatWasStoppedBeforeItsStartDoesNotEnterTheGuest()
    {
        using Machine machine = Machine.Create(Machines.Options("onepage"));
        machine.Stop("early");
        Assert.Equal(EndReason.Stopped, machine.Run().Reason);
        Assert.Equal(0, machine.Parts.Vcpus[0].Exits);
    }

    // vCPU 0 runs on another thread here: at whatever moment the machine is taken away, that thread has left it first.
    [KvmFact]
    public void DisposingARunningMachineEndsIt()
    {
        for (int i = 0; i < 40; i++)
        {
            Machine machine = Machine.Create(Machines.Options("loop"));
            Task<MachineResult> run = machine.RunAsync();
            Thread.SpinWait(i * 10_000);
            machine.Dispose();
            Assert.True(run.Wait(TimeSpan.FromSeconds(10)));
            Assert.Equal(EndReason.Stopped, run.Result.Reason);
        }
    }
}
