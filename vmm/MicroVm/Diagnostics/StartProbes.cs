namespace MicroVm.Diagnostics;

/// <summary>Settings of the host that decide what starting a machine costs.</summary>
internal static class StartProbes
{
    private const string Group = "Start-up cost";
    private const string NxHugePagesPath = "/sys/module/kvm/parameters/nx_huge_pages";
    private const string FavorDynMods = "favordynmods";

    internal static readonly DoctorProbe[] All =
    [
        new("nx-huge-pages", Group, Needed: false, NxHugePages),
        new("cgroup", Group, Needed: false, Cgroup),
        new("virt-at-load", Group, Needed: false, VirtualisationAtLoad),
        new("smt", Group, Needed: false, Smt),
        new("open-files", Group, Needed: false, OpenFiles),
    ];

    // With any value but "never" each machine gets a worker thread, and moving that thread into the machine's cgroup is what takes the time.
    private static DoctorFinding NxHugePages(DoctorHost host)
    {
        string? value = host.Line(NxHugePagesPath);
        bool affected = host.Line("/sys/devices/system/cpu/vulnerabilities/itlb_multihit")?.StartsWith("Not affected", StringComparison.Ordinal) == false;
        if (value is null) return DoctorFinding.Ok("this kernel has no such setting");
        if (value == "never") return DoctorFinding.Ok("never: no worker thread a machine", value);
        if (FavorsDynamicModification(host)) return DoctorFinding.Ok($"{value}: a worker thread a machine, cheap with {FavorDynMods}", value);
        return DoctorFinding.Warn($"{value}: a worker thread a machine, and 27-70 ms instead of 0.4 to make or first run one where cgroups are busy",
            affected ? $"This processor needs it (itlb_multihit): mount cgroups with {FavorDynMods}" : "This processor does not need it: boot with kvm.nx_huge_pages=never", value);
    }

    private static DoctorFinding Cgroup(DoctorHost host)
    {
        string version = CgroupVersion(host);
        if (version == "none") return DoctorFinding.Warn("not mounted: machines cannot be limited", "mount -t cgroup2 none /sys/fs/cgroup", version);
        if (FavorsDynamicModification(host)) return DoctorFinding.Ok($"{version} with {FavorDynMods}: new threads join at once", version);
        string remedy = version == "v2" ? $"mount -o remount,{FavorDynMods} /sys/fs/cgroup" : "boot with cgroup_favordynmods=true";
        return DoctorFinding.Warn($"{version} without {FavorDynMods}: moving a process or thread waits for a grace period, tens of milliseconds", $"For fast starts in cgroups: {remedy}", version);
    }

    private static string CgroupVersion(DoctorHost host)
    {
        (bool v1, bool v2) = (false, false);
        foreach (string mount in CgroupMounts(host))
        {
            if (mount.Contains(" - cgroup2 ", StringComparison.Ordinal)) v2 = true;
            else v1 = true;
        }
        return (v1, v2) switch { (true, true) => "v1 and v2", (true, false) => "v1", (false, true) => "v2", _ => "none" };
    }

    private static bool FavorsDynamicModification(DoctorHost host) =>
        CgroupMounts(host).Exists(static mount => mount.Contains(FavorDynMods, StringComparison.Ordinal));

    private static List<string> CgroupMounts(DoctorHost host)
    {
        List<string> mounts = [.. (host.Text("/proc/self/mountinfo") ?? "").Split('\n')];
        mounts.RemoveAll(static line => !line.Contains(" - cgroup", StringComparison.Ordinal));
        return mounts;
    }

    private static DoctorFinding VirtualisationAtLoad(DoctorHost host) => host.Line("/sys/module/kvm/parameters/enable_virt_at_load") switch
    {
        "Y" => DoctorFinding.Ok("the processors are ready before the first machine", "Y"),
        null => DoctorFinding.Warn("this kernel turns virtualisation on with the first machine, by an interrupt to each CPU", "Keep one idle machine where starts are measured"),
        string value => DoctorFinding.Warn("off: the first machine pays for an interrupt to each CPU", "Load kvm with enable_virt_at_load=1", value),
    };

    private static DoctorFinding Smt(DoctorHost host)
    {
        string? control = host.Line("/sys/devices/system/cpu/smt/control");
        return control == "on"
            ? DoctorFinding.Warn("on: two guests on one core can watch each other's caches", "For hostile guests: nosmt, or a core for each machine", control)
            : DoctorFinding.Ok(control is null ? "this kernel does not say" : $"{control}: no two guests share a core", control);
    }

    private static DoctorFinding OpenFiles(DoctorHost host)
    {
        const long Enough = 256;
        string? field = host.Field("/proc/self/limits", "Max open files");
        long limit = long.TryParse(field?.Split(' ')[0], out long n) ? n : long.MaxValue;
        return limit >= Enough
            ? DoctorFinding.Ok($"{limit} descriptors a process; a machine takes about 20 and 3 a device", $"{limit}")
            : DoctorFinding.Warn($"{limit} descriptors a process", "Raise it (ulimit -n) for more than a few devices", $"{limit}");
    }
}
