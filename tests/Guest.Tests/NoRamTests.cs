using System.Runtime.InteropServices;
using MicroVm;
using MicroVm.Kvm;

namespace Guest.Tests;

/// <summary>Row C5: instructions, page tables and rings where there is no RAM. It ends in an access that is ignored, or the guest by name.</summary>
public sealed class NoRamTests : IDisposable
{
    private const ulong Page = 0xd000_0000, Config = Page + 0x100; // of the first virtio-mmio device: mapped read-only
    private const ulong Behind = 0xd000_1000, Hole = 0xc800_0000, Ecam = 0xe000_0000, Ged = 0xfeb0_0000, IoApic = 0xfec0_0000, LocalApic = 0xfee0_0000;
    private const int SectorSize = 512;

    private readonly string _disk = Path.GetTempFileName();

    public void Dispose() => File.Delete(_disk);

    // The page has zeros there, `add %al, (%eax)` to RAM: they run until what is behind it.
    [KvmTheory]
    [InlineData(Config, Behind)]
    [InlineData(Behind, Behind)]
    [InlineData(Hole, Hole)]
    [InlineData(Ged, Ged)]
    [InlineData(IoApic, IoApic)]
    [InlineData(LocalApic, LocalApic)]
    public void C5_CodeInADeviceOrAHoleEndsTheGuestByName(ulong start, ulong end)
    {
        using Machine machine = Machine.Create(Machines.Options("fetch", $"{start}") with { Virtio = [new RngOptions()] });
        EndedByName(machine.Run(), $"rip {end:x16}");
        Assert.Equal(1, machine.Exits); // and no second try
    }

    [KvmFact]
    public void C5_CodeInARegisterPageRuns()
    {
        const ulong OutToExitPort = 0xf4e6; // the instruction, as a number of sectors
        MachineResult end = Machines.Run(Machines.Options("fetch", $"{Config}") with { Virtio = [Disk(OutToExitPort)] });
        Assert.Equal((EndReason.GuestExit, 42), (end.Reason, end.ExitCode));
    }

    // A number of sectors that is an entry of a PML4; with and without the accessed bit, which the processor cannot set there.
    [KvmTheory]
    [InlineData(0x20_0063)]
    [InlineData(0x20_0003)]
    public void C5_PageTablesInARegisterPageAreWalkedAndNotWritten(ulong entry)
    {
        using Machine machine = Machine.Create(Machines.Options("tables", $"{Page}") with { Virtio = [Disk(entry)] });
        MachineResult end = machine.Run();
        Assert.Equal((EndReason.GuestExit, 42), (end.Reason, end.ExitCode));
        MemorySlot page = machine.Parts.Vm.Slots.Single(static slot => slot.GuestAddress == Page);
        Assert.Equal(entry, (ulong)Marshal.ReadInt64(page.HostAddress, (int)(Config - Page)));
    }

    // A KVM that walks guest tables itself says triple fault. Where the processor does (nested paging), KVM has it try for
    // ever and tells nobody: then the machine is stopped from outside.
    [KvmTheory]
    [InlineData(Page)] // of a device without configuration: no entry is present
    [InlineData(Behind)]
    [InlineData(Hole)]
    [InlineData(Ged)]
    public async Task C5_PageTablesWhereNoneAreEndTheGuestByNameOrLeaveItToBeStopped(ulong tables)
    {
        await using Machine machine = Machine.Create(Machines.Options("tables", $"{tables}") with { Virtio = [new RngOptions()] });
        Task<MachineResult> run = machine.RunAsync();
        if (await Task.WhenAny(run, Task.Delay(TimeSpan.FromSeconds(2))) != run)
        {
            Assert.False(Directory.Exists("/sys/module/kvm_pvm"), "this KVM has no nested paging");
            machine.Stop("test");
            Assert.Equal(EndReason.Stopped, (await run.WaitAsync(TimeSpan.FromSeconds(1))).Reason);
            return;
        }
        EndedByName(await run, $"cr3 {tables:x16}");
    }

    [KvmTheory]
    [InlineData(Page)]
    [InlineData(Behind)]
    [InlineData(Hole)]
    [InlineData(Ecam)]
    [InlineData(Ged)]
    public void C5_RingsAndBuffersInAReadOnlySlotOrAHoleStopTheQueueUntilAReset(ulong page)
    {
        using Machine machine = Machine.Create(Machines.Options("ring", $"{page}") with { Virtio = [new RngOptions()], Pci = true });
        MachineResult end = machine.Run();
        Assert.Equal((EndReason.GuestExit, 42), (end.Reason, end.ExitCode));
    }

    private static void EndedByName(MachineResult end, string register)
    {
        Assert.Equal((EndReason.Crash, MachineResult.CrashedCode), (end.Reason, end.ExitCode));
        Assert.StartsWith("the guest crashed: ", end.Description, StringComparison.Ordinal);
        Assert.Contains(register, end.CrashReport);
    }

    private DiskOptions Disk(ulong sectors)
    {
        using FileStream file = File.OpenWrite(_disk);
        file.SetLength((long)sectors * SectorSize);
        return new DiskOptions(_disk);
    }
}
