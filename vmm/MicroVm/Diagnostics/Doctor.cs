namespace MicroVm.Diagnostics;

/// <summary>How one thing stands on this host.</summary>
public enum DoctorStatus
{
    /// <summary>Works.</summary>
    Ok,
    /// <summary>Works at a cost, or for some guests only.</summary>
    Warn,
    /// <summary>Is not there.</summary>
    Missing,
    /// <summary>Could not be asked: what it is asked of is not there.</summary>
    NotAsked,
}

/// <summary>What a probe found.</summary>
/// <param name="Status">How it stands.</param>
/// <param name="Text">One line: what is there and what it means.</param>
/// <param name="Advice">What it costs or what to change, or null.</param>
/// <param name="Value">The value that was read, for programs, or null.</param>
public sealed record DoctorFinding(DoctorStatus Status, string Text, string? Advice = null, string? Value = null)
{
    internal static DoctorFinding Ok(string text, string? value = null) => new(DoctorStatus.Ok, text, null, value);

    internal static DoctorFinding Warn(string text, string advice, string? value = null) => new(DoctorStatus.Warn, text, advice, value);

    internal static DoctorFinding Missing(string text, string advice, string? value = null) => new(DoctorStatus.Missing, text, advice, value);
}

/// <summary>One question to the host.</summary>
/// <param name="Name">Stable name, in kebab case.</param>
/// <param name="Group">Heading under which people find it.</param>
/// <param name="Needed">No machine runs without it.</param>
/// <param name="Ask">Looks, and changes nothing.</param>
internal sealed record DoctorProbe(string Name, string Group, bool Needed, Func<DoctorHost, DoctorFinding> Ask)
{
    /// <summary>It is a question to KVM, which is not asked where KVM does not open.</summary>
    internal bool OfKvm { get; init; }
}

/// <summary>A probe's answer.</summary>
/// <param name="Name">Stable name.</param>
/// <param name="Group">Heading.</param>
/// <param name="Finding">What was found.</param>
public sealed record DoctorRow(string Name, string Group, DoctorFinding Finding);

/// <summary>What this host can do for guests: <c>microvm doctor</c>.</summary>
/// <param name="KvmUsable">Machines can be made here.</param>
/// <param name="StockGuests">An unmodified Linux kernel runs here at speed.</param>
/// <param name="Passthrough">Devices of the host can be assigned.</param>
/// <param name="Kernel">Version of the host's kernel.</param>
/// <param name="Rows">The findings in the order of the probes.</param>
public sealed record DoctorReport(bool KvmUsable, bool StockGuests, bool Passthrough, string Kernel, IReadOnlyList<DoctorRow> Rows);

/// <summary>Asks every probe. A new probe is one line in one of the tables.</summary>
public static class Doctor
{
    private static readonly DoctorProbe[][] Tables =
        [KvmProbes.All, StartProbes.All, MemoryProbes.All, DeviceProbes.All, PassthroughProbes.All, ProgramProbes.All];

    private static readonly DoctorFinding s_notAsked = new(DoctorStatus.NotAsked, "not asked: KVM does not open");

    /// <summary>Examines this host. Takes some milliseconds, needs no rights, changes nothing.</summary>
    public static DoctorReport Examine()
    {
        using DoctorHost host = DoctorHost.This();
        return Examine(host);
    }

    internal static DoctorReport Examine(DoctorHost host)
    {
        List<DoctorRow> rows = [];
        bool usable = true;
        foreach (DoctorProbe[] table in Tables)
        {
            foreach (DoctorProbe probe in table)
            {
                DoctorFinding finding = probe.OfKvm && host.KvmFailure is not null ? s_notAsked : probe.Ask(host);
                rows.Add(new DoctorRow(probe.Name, probe.Group, finding));
                usable &= !probe.Needed || finding.Status is DoctorStatus.Ok or DoctorStatus.Warn;
            }
        }
        bool stock = usable && KvmProbes.HasHardware(host);
        bool passthrough = usable && PassthroughProbes.Possible(host);
        return new DoctorReport(usable, stock, passthrough, host.Line("/proc/sys/kernel/osrelease") ?? "unknown", rows);
    }
}
