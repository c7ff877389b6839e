using MicroVm;

namespace Guest.Tests;

/// <summary>Machines come and go, and leave nothing behind.</summary>
public sealed class LifeTests
{
    [KvmFact]
    public void R5_FiveHundredMachinesLeaveNothing()
    {
        RunMany(20); // what the runtime makes once
        (int fds, int threads, int maps) before = Census();
        RunMany(500);
        (int fds, int threads, int maps) after = Census();
        Assert.InRange(after.fds, 0, before.fds); // the test runner may have closed one of its own
        Assert.InRange(after.threads, 0, before.threads + 2); // the runtime's own come and go
        Assert.InRange(after.maps, 0, before.maps + 20);
    }

    [KvmFact]
    public async Task TwoMachinesRunSideBySide()
    {
        await using Machine loops = Machine.Create(Guests.Options("loop"));
        Task<MachineResult> first = loops.RunAsync();
        Assert.Equal(42, Guests.Run(Guests.Options("onepage")).ExitCode);
        Assert.False(first.IsCompleted);
        loops.Stop("test");
        Assert.Equal(EndReason.Stopped, (await first.WaitAsync(TimeSpan.FromSeconds(10))).Reason);
    }

    [KvmFact]
    public void AFailedCreationGivesEverythingBack()
    {
        MachineOptions bad = Guests.Options("onepage") with { Virtio = [new RngOptions()], Initrd = "/nonexistent/initrd" };
        Assert.Equal(FailureKind.Image, Assert.Throws<MicroVmException>(() => Machine.Create(bad)).Kind);
        int fds = Census().Fds;
        for (int i = 0; i < 20; i++) Assert.Throws<MicroVmException>(() => Machine.Create(bad));
        Assert.Equal(fds, Census().Fds);
    }

    [KvmFact]
    public void ALimitOfVcpusIsChecked()
    {
        foreach (int cpus in (int[])[0, -1, 65, 1000])
        {
            MicroVmException e = Assert.Throws<MicroVmException>(() => Machine.Create(Guests.Options("onepage") with { Cpus = cpus }));
            Assert.Equal(FailureKind.Usage, e.Kind);
        }
    }

    [KvmFact]
    public void SixtyFourVcpusStart() => Assert.Equal(42, Guests.Run(Guests.Options("onepage") with { Cpus = 64 }).ExitCode);

    private static void RunMany(int count)
    {
        for (int i = 0; i < count; i++) Assert.Equal(42, Guests.Run(Guests.Options("onepage") with { Virtio = i % 2 == 0 ? [new RngOptions()] : [], Cpus = 1 + i % 3 }).ExitCode);
    }

    private static (int Fds, int Threads, int Maps) Census() =>
        (Directory.GetFileSystemEntries("/proc/self/fd").Length, Directory.GetDirectories("/proc/self/task").Length, File.ReadAllLines("/proc/self/maps").Length);
}
