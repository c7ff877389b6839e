using MicroVm.Devices;
using MicroVm.Virtio.Balloon;

namespace MicroVm;

/// <summary>A balloon and what went through it since the machine was made.</summary>
/// <param name="TargetBytes">What the guest should give up.</param>
/// <param name="ActualBytes">What it has given up, as it says.</param>
/// <param name="InflatedBytes">Pages that it gave up, all together; they went back to the host.</param>
/// <param name="DeflatedBytes">Pages that it took back, all together.</param>
/// <param name="ReportedBytes">Pages that it reported as free, all together; they went back to the host.</param>
/// <param name="IgnoredPages">Page numbers that were no memory of the guest's.</param>
/// <param name="Statistics">The guest's own figures, by name; bytes, or counts of events. Empty for a guest that gives none.</param>
public sealed record BalloonInfo(
    ulong TargetBytes, ulong ActualBytes, ulong InflatedBytes, ulong DeflatedBytes, ulong ReportedBytes, ulong IgnoredPages, IReadOnlyList<KeyValuePair<string, ulong>> Statistics)
{
    internal static BalloonInfo Of(VirtioBalloonDevice balloon, int patienceMilliseconds)
    {
        List<KeyValuePair<string, ulong>> statistics = [];
        foreach ((VirtioBalloonTag tag, ulong value) in balloon.Statistics(patienceMilliseconds)) statistics.Add(new(Name(tag), value));
        BalloonCounters counters = balloon.Counters;
        return new BalloonInfo(balloon.Target, balloon.Actual, Bytes(counters.Inflated), Bytes(counters.Deflated), Bytes(counters.Reported), (ulong)counters.Ignored, statistics);
    }

    private static ulong Bytes(long pages) => (ulong)pages << (int)VirtioBalloonConst.PageShift;

    // Stable: programs read them.
    private static string Name(VirtioBalloonTag tag) => tag switch
    {
        VirtioBalloonTag.SwapIn => "swapIn",
        VirtioBalloonTag.SwapOut => "swapOut",
        VirtioBalloonTag.MajorFaults => "majorFaults",
        VirtioBalloonTag.MinorFaults => "minorFaults",
        VirtioBalloonTag.FreeMemory => "freeMemory",
        VirtioBalloonTag.TotalMemory => "totalMemory",
        VirtioBalloonTag.AvailableMemory => "availableMemory",
        VirtioBalloonTag.DiskCaches => "diskCaches",
        VirtioBalloonTag.HugePages => "hugePages",
        _ => "hugePageFailures",
    };
}
