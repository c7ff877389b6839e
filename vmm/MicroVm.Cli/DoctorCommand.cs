using System.Text;
using System.Text.Json;
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
        if (settings.Json) PrintJson(report);
        else Output.Out(Table(report, colour: Terminal.IsColour(StandardOutput)));
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
            if (row.Group != group) text.Append(group is null ? "" : "\n").Append(group = row.Group).Append('\n');
            string status = Name(row.Finding.Status);
            text.Append("  ").Append(colour ? Painted(row.Finding.Status, status) : status).Append(' ', StatusWidth - status.Length);
            text.Append(row.Name).Append(' ', nameWidth - row.Name.Length).Append(row.Finding.Text).Append('\n');
            if (row.Finding.Advice is { } advice) text.Append(' ', 2 + StatusWidth + nameWidth).Append("-> ").Append(advice).Append('\n');
        }
        text.Append($"\nLinux {report.Kernel}. KVM: {Word(report.KvmUsable)}. Stock guests: {Word(report.StockGuests)}. Passthrough: {Word(report.Passthrough)}.\n");
        return text.ToString();
    }

    private static string Word(bool value) => value ? "yes" : "no";

    private static string Name(DoctorStatus status) => status switch
    {
        DoctorStatus.Ok => "ok",
        DoctorStatus.Warn => "warn",
        _ => "missing",
    };

    private static string Painted(DoctorStatus status, string word) => status switch
    {
        DoctorStatus.Ok => $"\e[32m{word}\e[0m",
        DoctorStatus.Warn => $"\e[33m{word}\e[0m",
        _ => $"\e[31m{word}\e[0m",
    };

    // Names are a contract: docs/doctor.md.
    private static void PrintJson(DoctorReport report)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("version", JsonVersion);
            json.WriteString("microvm", Commands.Version);
            json.WriteString("kernel", report.Kernel);
            json.WriteBoolean("kvmUsable", report.KvmUsable);
            json.WriteBoolean("stockGuests", report.StockGuests);
            json.WriteBoolean("passthrough", report.Passthrough);
            json.WriteStartArray("probes");
            foreach (DoctorRow row in report.Rows) Write(json, row);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        bytes.WriteByte((byte)'\n');
        Output.Out(bytes.GetBuffer().AsSpan(0, (int)bytes.Length));
    }

    private static void Write(Utf8JsonWriter json, DoctorRow row)
    {
        json.WriteStartObject();
        json.WriteString("name", row.Name);
        json.WriteString("group", row.Group);
        json.WriteString("status", Name(row.Finding.Status));
        json.WriteString("text", row.Finding.Text);
        json.WriteString("advice", row.Finding.Advice);
        json.WriteString("value", row.Finding.Value);
        json.WriteEndObject();
    }
}
