using MicroVm;

namespace Guest.Tests;

/// <summary>Row G2: guest memory at its edges.</summary>
public sealed class MemoryTests
{
    private const ulong KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, Most = 255 * GiB;

    [KvmTheory]
    [InlineData(2 * MiB)]
    [InlineData((2 * MiB) + (4 * KiB))]
    [InlineData((3 * GiB) - MiB)]
    [InlineData((3 * GiB) - (4 * KiB))]
    [InlineData(3 * GiB)] // all below the hole
    [InlineData((3 * GiB) + (4 * KiB))]
    [InlineData((3 * GiB) + MiB)]
    [InlineData(4 * GiB)]
    [InlineData(64 * GiB)]
    public void G2_TheGuestHasWhatItIsToldOfAndNoMore(ulong bytes) => Assert.Equal((EndReason.GuestExit, 42), Run(bytes));

    [KvmFact]
    public void G2_AllThatTheMapHasRunsOrIsMoreThanTheHostGives()
    {
        try
        {
            Assert.Equal((EndReason.GuestExit, 42), Run(Most));
        }
        catch (MicroVmException e)
        {
            Assert.Equal(FailureKind.Host, e.Kind);
            Assert.Contains("--memory", e.Remedy, StringComparison.Ordinal);
        }
    }

    [KvmTheory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(MiB)]
    [InlineData((2 * MiB) - 1)]
    [InlineData(Most + 1)]
    [InlineData(ulong.MaxValue)]
    public void G2_LessOrMoreThanAMachineCanHaveIsRefusedWithWhatItCan(ulong bytes)
    {
        MicroVmException e = Assert.Throws<MicroVmException>(() => Run(bytes));
        Assert.Equal(FailureKind.Usage, e.Kind);
        Assert.Matches("Give at (least 2M|most 255G)", e.Remedy);
    }

    private static (EndReason Reason, int Code) Run(ulong bytes)
    {
        MachineResult end = Machines.Run(Machines.Options("ram", $"{bytes / KiB}") with { MemoryBytes = bytes });
        return (end.Reason, end.ExitCode);
    }
}
