namespace MicroVm.Diagnostics;

/// <summary>The memory that guests are made of.</summary>
internal static class MemoryProbes
{
    private const string Group = "Memory";
    private const string MemInfo = "/proc/meminfo";

    internal static readonly DoctorProbe[] All =
    [
        new("memory", Group, Needed: false, Available),
        new("transparent-huge-pages", Group, Needed: false, Transparent),
        new("reserved-huge-pages", Group, Needed: false, Reserved),
        new("overcommit", Group, Needed: false, Overcommit),
        new("locked-memory", Group, Needed: false, Locked),
        new("ksm", Group, Needed: false, Ksm),
        new("swap", Group, Needed: false, Swap),
    ];

    private static DoctorFinding Available(DoctorHost host)
    {
        const long Little = 512;
        long megabytes = (host.Number(MemInfo, "MemAvailable") ?? 0) >> 10;
        return megabytes >= Little
            ? DoctorFinding.Ok($"{megabytes} MiB available", $"{megabytes}")
            : DoctorFinding.Warn($"{megabytes} MiB available", "Give guests less than that, or the host more", $"{megabytes}");
    }

    private static DoctorFinding Transparent(DoctorHost host)
    {
        string? mode = host.Choice("/sys/kernel/mm/transparent_hugepage/enabled");
        return mode switch
        {
            "always" or "madvise" => DoctorFinding.Ok($"{mode}: guest memory asks for them; a 42 MB kernel loads in 5 ms instead of 25", mode),
            null => DoctorFinding.Missing("this kernel has none: a fault for every 4 KiB of guest memory", "Boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE"),
            _ => DoctorFinding.Warn($"{mode}: a fault for every 4 KiB of guest memory", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled", mode),
        };
    }

    private static DoctorFinding Reserved(DoctorHost host)
    {
        long pages = host.Number(MemInfo, "HugePages_Total") ?? 0, kilobytes = host.Number(MemInfo, "Hugepagesize") ?? 0;
        return DoctorFinding.Ok(pages == 0 ? "none; microvm does not need them" : $"{pages} of {kilobytes >> 10} MiB; microvm does not use them yet", $"{pages}");
    }

    private static DoctorFinding Overcommit(DoctorHost host)
    {
        string? mode = host.Line("/proc/sys/vm/overcommit_memory");
        return mode == "2"
            ? DoctorFinding.Warn("strict: every machine's whole memory counts from the start", "sysctl vm.overcommit_memory=0, or fewer machines", mode)
            : DoctorFinding.Ok("a guest costs the pages that it has touched", mode);
    }

    private static DoctorFinding Locked(DoctorHost host)
    {
        // "Max locked memory  8388608  8388608  bytes": the first number is the limit that holds.
        string? limit = host.Field("/proc/self/limits", "Max locked memory")?.Split(' ')[0];
        if (limit == "unlimited") return DoctorFinding.Ok("unlimited", limit);
        string size = long.TryParse(limit, out long bytes) ? $"{bytes >> 20} MiB" : "unknown";
        return DoctorFinding.Warn($"{size}: passthrough pins the whole guest, and fails above it for users without CAP_IPC_LOCK", "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit", limit);
    }

    private static DoctorFinding Ksm(DoctorHost host)
    {
        string? run = host.Line("/sys/kernel/mm/ksm/run");
        return run == "1"
            ? DoctorFinding.Warn("on: merged pages let one guest learn what another has in memory", "For hostile guests: echo 2 > /sys/kernel/mm/ksm/run", run)
            : DoctorFinding.Ok("off: no page is shared between guests", run);
    }

    private static DoctorFinding Swap(DoctorHost host)
    {
        long megabytes = (host.Number(MemInfo, "SwapTotal") ?? 0) >> 10;
        return megabytes > 0
            ? DoctorFinding.Warn($"{megabytes} MiB: guest memory can reach the disk, and stall there", "For secrets and steady latency: swapoff -a", $"{megabytes}")
            : DoctorFinding.Ok("none: guest memory never reaches a disk", "0");
    }
}
