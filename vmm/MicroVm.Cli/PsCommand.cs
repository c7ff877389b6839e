using System.Text;
using MicroVm.Cli.Arguments;
using MicroVm.Cli.Control;
using MicroVm.Cli.Explain;
using MicroVm.Diagnostics;
using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary><c>microvm ps</c>: the machines of this user that have a name, by the sockets in the folder of names. It
/// asks each and changes nothing: a socket that a killed machine left behind is shown as dead.</summary>
internal static class PsCommand
{
    private const int JsonVersion = 1, PatienceMilliseconds = 2000;
    private static readonly string[] s_columns = ["name", "pid", "state", "uptimeSeconds", "cpus", "memoryBytes"];
    private static readonly string[] s_headings = ["name", "pid", "state", "uptime", "cpus", "memory"];

    /// <summary>The flags.</summary>
    internal static readonly Option<PsSettings>[] Options =
    [
        new("json", null, "Print JSON with stable names (docs/control.md).", static (s, _) =>
            s.Json = true) { Heading = "Flags" },
    ];

    internal static int Execute(string[] args)
    {
        PsSettings settings = new();
        if (ArgumentParser.Parse("ps", args, 1, Options) is not { } flags)
        {
            Output.Out(HelpText.Ps());
            return ExitCodes.Success;
        }
        foreach ((Option<PsSettings> option, OptionValue value) in flags) option.Set(settings, value);
        JsonList machines = Machines(ControlPath.Folder("microvm ps"));
        Output.Out(settings.Json ? CtlCommand.Json(new JsonMap { ["version"] = JsonVersion, ["machines"] = machines })
            : Table(machines));
        return ExitCodes.Success;
    }

    /// <summary>A row for each socket of a folder, in the order of the names; none where there is no folder.</summary>
    internal static JsonList Machines(string folder)
    {
        if (!Directory.Exists(folder)) return [];
        string[] paths = Directory.GetFileSystemEntries(folder, "*" + ControlPath.Suffix);
        Array.Sort(paths, string.CompareOrdinal);
        return new JsonList(paths.Select(Look));
    }

    private static JsonMap Look(string path)
    {
        JsonMap row = new();
        foreach (string column in s_columns) row[column] = null;
        row["name"] = ControlPath.NameOf(path);
        int fd = HostSocket.Connect(path);
        row["state"] = fd < 0 ? fd == -Libc.ECONNREFUSED ? "dead" : "cannot be reached" : "does not answer";
        if (fd < 0) return row;
        try
        {
            JsonMap? info = CtlCommand.Ask(fd, path, new ControlRequest { Command = "info" }, PatienceMilliseconds)
                .Result as JsonMap;
            // One of another version may say less.
            foreach (string column in s_columns.AsSpan(1)) row[column] = info?[column];
        }
        catch (MicroVmException)
        {
            // It ends at this moment, or is stopped: the row says so.
        }
        return row;
    }

    /// <summary>The rows for people.</summary>
    internal static string Table(JsonList machines)
    {
        StringBuilder text = new();
        PictureText.Align(text, [s_headings,
            .. machines.Select(static row => Array.ConvertAll(s_columns, c => Cell(c, ((JsonMap)row!)[c])))]);
        return text.ToString();
    }

    private static string Cell(string column, object? value) => (column, value) switch
    {
        ("uptimeSeconds", long seconds) => HumanText.Seconds(seconds),
        ("memoryBytes", long bytes) => HumanText.Bytes((ulong)bytes),
        _ => PictureText.Cell(value),
    };
}

/// <summary>What the flags of <c>microvm ps</c> said.</summary>
internal sealed class PsSettings
{
    internal bool Json { get; set; }
}
