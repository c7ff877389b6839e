using System.Text;
using MicroVm.Cli.Arguments;
using MicroVm.Cli.Control;
using MicroVm.Cli.Explain;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli;

/// <summary><c>microvm explain</c>: prints the whole picture of a machine, or the way of an address. A running one is asked over its control socket;
/// one of flags of <c>run</c> is built as <c>run</c> builds it, and given back without having run.</summary>
internal static class ExplainCommand
{
    internal static int Execute(string[] args)
    {
        ExplainSettings settings = new();
        if (!TakeOwn(args, settings, out List<string> rest))
        {
            Output.Out(HelpText.Explain());
            return ExitCodes.Success;
        }
        if (rest.Count == 0) throw MicroVmException.Usage(
            "nothing to explain", "microvm explain",
            "Use a running machine, microvm explain NAME, or the flags of 'microvm run'");
        int flag = rest.FindIndex(static word => word.StartsWith("--", StringComparison.Ordinal));
        int words = flag < 0 ? rest.Count : flag;
        // The machine, unless flags describe it, and a section.
        bool built = words < rest.Count;
        int most = built ? 1 : 2;
        if (words > most) throw MicroVmException.Usage(
            "unexpected argument", rest[most], "Use one machine, one section and flags of 'microvm explain --help'");
        settings.Section = words == most ? rest[most - 1] : null;
        if (settings.Section is not null && (settings.Space ?? settings.Html) is not null)
            throw MicroVmException.Usage("two things to explain", settings.Section, "Remove it or the flag");
        if (built) return Built(rest[words..], settings);
        return Show(rest[0], settings, request => CtlCommand.Ask(rest[0], new ControlRequest { Command = "explain", Arguments = request.Words }));
    }

    private static int Built(List<string> rest, ExplainSettings settings)
    {
        RunSettings run = new();
        if (!RunOptions.Parse(["explain", .. rest], run)) return ExitCodes.Success;
        // What would be written to is not opened, and nothing is left behind.
        MachineOptions options = run.ToOptions() with { Trace = null, KernelCache = false };
        options = options with { Serial = Quiet(options.Serial), Console = Quiet(options.Console) };
        using Machine machine = Machine.Create(options);
        return Show(run.MachineName ?? "a machine that has not started", settings,
            request => new ControlAnswer { Ok = true, Result = PictureJson.Of(request.Ask(machine)) });
    }

    private static ConsoleEndpoint Quiet(ConsoleEndpoint endpoint) => endpoint == ConsoleEndpoint.None ? endpoint : ConsoleEndpoint.Descriptors(-1, -1);

    private static int Show(string title, ExplainSettings settings, Func<ExplainRequest, ControlAnswer> ask)
    {
        ControlAnswer answer = ask(settings.Request);
        if (!answer.Ok) return CtlCommand.Refused(answer);
        object result = answer.Result ?? new Diagnostics.JsonMap();
        List<Section> picture = PictureJson.Read(result);
        if (settings.Section is { } name) picture = [PictureText.Find(picture, name)];
        if (settings.Json)
        {
            Output.Out(CtlCommand.Json(settings.Section is null ? result : PictureJson.Of(picture)));
            return ExitCodes.Success;
        }
        if (settings.Space == ExplainRequest.AmlTables)
            Output.Out(Disassembly.TryMake(picture) ?? throw MicroVmException.Host("there is no iasl on this host", "--aml", "Install it: apt install acpica-tools"));
        else if (settings.Html is { } path) WritePage(path, title, picture, settings, ask);
        else Output.Out(PictureText.Of(picture));
        return ExitCodes.Success;
    }

    private static void WritePage(string path, string title, List<Section> picture, ExplainSettings settings, Func<ExplainRequest, ControlAnswer> ask)
    {
        // The page of an address has no place for it.
        ControlAnswer? aml = settings.Space is null ? ask(settings.Request with { Space = ExplainRequest.AmlTables }) : null;
        string? disassembly = aml?.Result is { } tables ? Disassembly.TryMake(PictureJson.Read(tables)) : null;
        byte[] page = Encoding.UTF8.GetBytes(HtmlPage.Of(title, picture, disassembly));
        const string what = "the page";
        using Kvm.HostFile file = OutputFile.Create(path, what);
        OutputFile.Write(file, path, what, page);
    }

    // Takes the flags of this command out of the words; false if help was asked for.
    private static bool TakeOwn(string[] args, ExplainSettings settings, out List<string> rest)
    {
        rest = [];
        List<string> own = [];
        for (int i = 1; i < args.Length; i++)
        {
            if (args[i] is "--help" or "-h") return false;
            string name = args[i].StartsWith("--", StringComparison.Ordinal) ? args[i][2..].Split('=')[0] : "";
            Option<ExplainSettings>? option = ArgumentParser.Find(ExplainSettings.Options, name);
            List<string> to = option is null ? rest : own;
            to.Add(args[i]);
            bool two = option is { IsSwitch: false } && !args[i].Contains('=', StringComparison.Ordinal);
            if (two && i + 1 < args.Length) to.Add(args[++i]);
        }
        foreach ((Option<ExplainSettings> option, OptionValue value) in ArgumentParser.Parse(
            "explain", [.. own], 0, ExplainSettings.Options)!) option.Set(settings, value);
        return true;
    }
}
