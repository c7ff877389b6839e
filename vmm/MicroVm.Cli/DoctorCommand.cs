using System.Text;
using MicroVm.Cli.Arguments;
using MicroVm.Diagnostics;

namespace MicroVm.Cli;

/// <summary><c>microvm doctor</c>: prints what <see cref="Doctor"/> found.</summary>
internal static class DoctorCommand
{
    private const int StandardOutput = 1;
    private const int JsonVersion = 1;

    internal static int Execute(string[] args)
    {
        DoctorSettings settings = new();
        if (!DoctorOptions.Parse(args, settings))
        {
            Output.Out(HelpText.Doctor());
            return ExitCodes.Success;
        }
        DoctorReport report = Doctor.Examine();
        if (settings.Json) Output.Out(Encoding.UTF8.GetString(JsonText.Of(Json(report), indented: true)));
        else Output.Coloured(Table(report, colour: Terminal.IsColour(StandardOutput)));
        if (report.KvmUsable) return ExitCodes.Success;
        Output.ErrorLine("microvm: error: KVM cannot be used, this host. See what 'microvm doctor' calls missing under KVM.");
        return (int)FailureKind.Host;
    }

    /// <summary>Rows under their headings, columns aligned, advice below its finding.</summary>
    internal static string Table(DoctorReport report, bool colour)
    {
        const int StatusWidth = 9;
        int nameWidth = 0;
        foreach (DoctorRow row in report.Rows) nameWidth = Math.Max(nameWidth, row.Name.Length + 2);
        StringBuilder text = new();
        string? group = null;
        foreach (DoctorRow row in report.Rows)
        {
            if (row.Finding.Status == DoctorStatus.NotAsked) continue;
            if (row.Group != group) text.Append(group is null ? "" : "\n").Append(group = row.Group).Append('\n');
            string status = Name(row.Finding.Status);
            text.Append("  ").Append(colour ? Painted(row.Finding.Status, status) : status).Append(' ', StatusWidth - status.Length);
            text.Append(row.Name).Append(' ', nameWidth - row.Name.Length).Append(Output.Plain(row.Finding.Text))
                .Append('\n');
            if (row.Finding.Advice is { } advice)
                text.Append(' ', 2 + StatusWidth + nameWidth).Append("-> ").Append(Output.Plain(advice)).Append('\n');
        }
        DoctorRow[] notAsked = [.. report.Rows.Where(static row => row.Finding.Status == DoctorStatus.NotAsked)];
        // They have one reason, and one line says it.
        if (notAsked.Length > 0) text.Append(
            $"\n{notAsked.Length} rows {notAsked[0].Finding.Text}: {string.Join(", ", notAsked.Select(static row => row.Name))}\n");
        text.Append($"\nLinux {report.Kernel}. KVM: {Word(report.KvmUsable)}. Stock guests: {Word(report.StockGuests)}. Passthrough: {Word(report.Passthrough)}.\n");
        return text.ToString();
    }

    private static string Word(bool value) => value ? "yes" : "no";

    private static string Name(DoctorStatus status) => status switch
    {
        DoctorStatus.Ok => "ok",
        DoctorStatus.Warn => "warn",
        DoctorStatus.NotAsked => "not-asked",
        _ => "missing",
    };

    private static string Painted(DoctorStatus status, string word) => status switch
    {
        DoctorStatus.Ok => $"\e[32m{word}\e[0m",
        DoctorStatus.Warn => $"\e[33m{word}\e[0m",
        _ => $"\e[31m{word}\e[0m",
    };

    // Names are a contract: docs/doctor.md.
    private static JsonMap Json(DoctorReport report) => new()
    {
        ["version"] = JsonVersion,
        ["microvm"] = ProductVersion.Text,
        ["kernel"] = report.Kernel,
        ["kvmUsable"] = report.KvmUsable,
        ["stockGuests"] = report.StockGuests,
        ["passthrough"] = report.Passthrough,
        ["probes"] = new JsonList(report.Rows.Select(static row => new JsonMap
        {
            ["name"] = row.Name,
            ["group"] = row.Group,
            ["status"] = Name(row.Finding.Status),
            ["text"] = row.Finding.Text,
            ["advice"] = row.Finding.Advice,
            ["value"] = row.Finding.Value,
        })),
    };
}
