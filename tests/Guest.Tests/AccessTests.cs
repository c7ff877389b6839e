using System.Text;
using MicroVm;

namespace Guest.Tests;

/// <summary>Guest accesses, their exits and what they cost.</summary>
public sealed class AccessTests
{
    [KvmFact]
    public void ResidentRegistersAreReadWithoutAnExit()
    {
        using Machine machine = Machine.Create(Machines.Options("resident", "1000") with { Virtio = [new RngOptions()] });
        Assert.Equal(42, machine.Run().ExitCode);
        Assert.Equal(1, machine.Parts.Vcpus[0].Exits); // the exit port
    }

    [KvmFact]
    public void PortReadsExitOnceEach()
    {
        using Machine machine = Machine.Create(Machines.Options("pio", "1000") with { Serial = ConsoleEndpoint.Descriptors(-1, -1) });
        Assert.Equal(42, machine.Run().ExitCode);
        Assert.Equal(1001, machine.Parts.Vcpus[0].Exits);
    }

    [KvmFact]
    public void S2_EveryPortAndHoleCanBePoked()
    {
        MachineResult end = Machines.Run(Machines.Options("poke", "1024") with { Serial = ConsoleEndpoint.Descriptors(-1, -1), Virtio = [new RngOptions()] });
        Assert.Equal((EndReason.GuestExit, 42), (end.Reason, end.ExitCode));
    }

    [KvmFact]
    public async Task StringInstructionsReachThePort()
    {
        await using Machine machine = Machine.Create(Machines.Options("repout") with { Serial = ConsoleEndpoint.Stream });
        Task<MachineResult> run = machine.RunAsync();
        using StreamReader reader = new(machine.SerialStream, Encoding.ASCII);
        string text = await reader.ReadToEndAsync();
        Assert.Equal("rep outsb: the quick brown fox jumps over the lazy dog 0123456789\n", text);
        Assert.Equal(42, (await run).ExitCode);
    }

    [KvmFact]
    public void AccessesAllocateNothing()
    {
        MachineOptions few = Machines.Options("mmiowrite", "100") with { Virtio = [new RngOptions()] }, many = few with { CommandLine = "20000" };
        _ = Allocated(few);
        Assert.Equal(Allocated(few), Allocated(many));
    }

    // Bytes that the vCPU's own thread allocated while the guest ran.
    private static long Allocated(MachineOptions options)
    {
        using Machine machine = Machine.Create(options);
        long before = GC.GetAllocatedBytesForCurrentThread();
        _ = machine.Run();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
