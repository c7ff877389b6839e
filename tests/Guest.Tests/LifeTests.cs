using MicroVm;
using Xunit.Abstractions;

namespace Guest.Tests;

/// <summary>Machines come and go, and leave nothing behind.</summary>
public sealed class LifeTests(ITestOutputHelper output)
{
    [KvmFact]
    public void R5_MachinesOneAfterTheOtherLeaveNothing()
    {
        // What the runtime makes once, and compiles meanwhile, is made in the first rounds.
        int each = Effort.Of(quick: 25, full: 500);
        RunMany(each);
        RunMany(each);
        (int fds, int threads, int maps) before = Census();
        (long resident, long managed) memory = Memory();
        RunMany(each);
        RunMany(each);
        (int fds, int threads, int maps) after = Census();
        (long resident, long managed) grown = Memory();
        Assert.InRange(grown.resident, 0, memory.resident + (8 << 20));
        Assert.InRange(grown.managed, 0, memory.managed + (64 << 10));
        Assert.InRange(after.fds, 0, before.fds); // the test runner may have closed one of its own
        Assert.InRange(after.threads, 0, before.threads + 2); // the runtime's own come and go
        Assert.InRange(after.maps, 0, before.maps + 20);
    }

    [KvmFact]
    public async Task R5_MachinesAtOnceAllRunAndLeaveNothing()
    {
        int wanted = Effort.Of(quick: 40, full: 200);
        await RunAtOnce(wanted); // what the runtime and the C library keep of so many threads
        (int fds, int threads, int maps) before = Census();
        await RunAtOnce(wanted);
        (int fds, int threads, int maps) after = Census();
        Assert.InRange(after.fds, 0, before.fds);
        Assert.InRange(after.threads, 0, before.threads + 2);
        Assert.InRange(after.maps, 0, before.maps + wanted / 2);
    }

    // As many as wanted or as the host gives: its refusal is an error of its own, and no machine's.
    private async Task RunAtOnce(int wanted)
    {
        List<(Machine Machine, Task<MachineResult> Run)> all = [];
        try
        {
            while (all.Count < wanted)
            {
                Machine machine = Machine.Create(Machines.Options("halt") with { Virtio = [new RngOptions()], Serial = ConsoleEndpoint.Stream });
                all.Add((machine, machine.RunAsync()));
            }
        }
        catch (MicroVmException e)
        {
            output.WriteLine($"{all.Count} machines of {wanted}: {e.Message}");
            Assert.Equal(FailureKind.Host, e.Kind);
            Assert.InRange(all.Count, 2, wanted);
        }
        // Each answers from inside its guest.
        foreach ((Machine machine, _) in all) Assert.NotEmpty(machine.Explain("gva", 0x10_0000, 0));
        Assert.DoesNotContain(all, static m => m.Run.IsCompleted);
        output.WriteLine($"{all.Count} machines at once: {Census()} descriptors, threads, mappings");
        foreach ((Machine machine, _) in all) machine.Stop("test");
        foreach ((Machine machine, Task<MachineResult> run) in all)
        {
            Assert.Equal(EndReason.Stopped, (await run.WaitAsync(TimeSpan.FromSeconds(10))).Reason);
            machine.Dispose();
        }
    }

    [KvmFact]
    public async Task TwoMachinesRunSideBySide()
    {
        await using Machine loops = Machine.Create(Machines.Options("loop"));
        Task<MachineResult> first = loops.RunAsync();
        Assert.Equal(42, Machines.Run(Machines.Options("onepage")).ExitCode);
        Assert.False(first.IsCompleted);
        loops.Stop("test");
        Assert.Equal(EndReason.Stopped, (await first.WaitAsync(TimeSpan.FromSeconds(10))).Reason);
    }

    [KvmFact]
    public void AFailedCreationGivesEverythingBack()
    {
        MachineOptions good = Machines.Options("onepage") with { Virtio = [new RngOptions()] };
        MachineOptions[] bad = [good with { Initrd = "/nonexistent/initrd" }, good with { Serial = ConsoleEndpoint.Socket(new string('x', 200)) }, good with { Serial = ConsoleEndpoint.Socket("/nonexistent/socket") }];
        foreach (MachineOptions options in bad) Assert.Throws<MicroVmException>(() => Machine.Create(options));
        int fds = Census().Fds;
        for (int i = 0; i < 60; i++) Assert.Throws<MicroVmException>(() => Machine.Create(bad[i % bad.Length]));
        Assert.Equal(fds, Census().Fds);
    }

    [KvmFact]
    public void ALimitOfVcpusIsChecked()
    {
        foreach (int cpus in (int[])[0, -1, 65, 1000])
        {
            MicroVmException e = Assert.Throws<MicroVmException>(() => Machine.Create(Machines.Options("onepage") with { Cpus = cpus }));
            Assert.Equal(FailureKind.Usage, e.Kind);
        }
    }

    [KvmFact]
    public void SixtyFourVcpusStart() => Assert.Equal(42, Machines.Run(Machines.Options("onepage") with { Cpus = 64 }).ExitCode);

    [KvmFact]
    public async Task RegistersAreLookedAtBeforeWhileAndAfterAndTheGuestGoesOn()
    {
        await using Machine machine = Machine.Create(Machines.Options("loop") with { Cpus = 2 });
        Assert.NotEmpty(machine.Explain("gva", 0x1000, 0));
        Task<MachineResult> run = machine.RunAsync();
        // The second vCPU waits for its start inside KVM; the first runs without an exit.
        for (int i = 0; i < 200; i++) Assert.NotEmpty(machine.Explain("gva", 0x1000, i & 1));
        Assert.False(run.IsCompleted);
        machine.Stop("test");
        Assert.Equal(EndReason.Stopped, (await run.WaitAsync(TimeSpan.FromSeconds(10))).Reason);
        Assert.NotEmpty(machine.Explain("gva", 0x1000, 0));
        Assert.NotEmpty(machine.Explain());
    }

    [KvmFact]
    public async Task AnEndIsNotLostAmongLooks()
    {
        for (int i = 0; i < 50; i++)
        {
            await using Machine machine = Machine.Create(Machines.Options("loop"));
            Task<MachineResult> run = machine.RunAsync();
            Task looks = Task.Run(() => { while (!run.IsCompleted) _ = machine.Explain("gva", 0x1000, 0); });
            await Task.Delay(i % 7);
            machine.Stop("test");
            Assert.Equal(EndReason.Stopped, (await run.WaitAsync(TimeSpan.FromSeconds(10))).Reason);
            await looks.WaitAsync(TimeSpan.FromSeconds(10));
        }
    }

    private static void RunMany(int count)
    {
        for (int i = 0; i < count; i++) Assert.Equal(42, Machines.Run(Machines.Options("onepage") with { Virtio = i % 2 == 0 ? [new RngOptions()] : [], Cpus = 1 + i % 3 }).ExitCode);
    }

    private static (long Resident, long Managed) Memory()
    {
        long managed = GC.GetTotalMemory(forceFullCollection: true);
        return (Environment.WorkingSet, managed);
    }

    private static (int Fds, int Threads, int Maps) Census() =>
        (Directory.GetFileSystemEntries("/proc/self/fd").Length, Directory.GetDirectories("/proc/self/task").Length, File.ReadAllLines("/proc/self/maps").Length);
}
