using MicroVm.Cli.Arguments;

namespace MicroVm.Cli;

/// <summary>The first word chooses what to do.</summary>
internal static class Commands
{
    private static readonly string[] Names = ["run", "ps", "ctl", "explain", "doctor", "vfio", "help"];

    internal static int Dispatch(string[] args)
    {
        if (args.Length == 0) throw MicroVmException.Usage("nothing to do", "no command was given", "Try 'microvm run --kernel FILE' or 'microvm --help'");
        switch (args[0])
        {
            case "run": return RunCommand.Execute(args);
            case "ps": return PsCommand.Execute(args);
            case "ctl": return CtlCommand.Execute(args);
            case "explain": return ExplainCommand.Execute(args);
            case "doctor": return DoctorCommand.Execute(args);
            case "vfio": return VfioCommand.Execute(args);
            case "help": return Help(args.Length > 1 ? args[1] : null);
            case "--help" or "-h": return Help(null);
            case "--version" or "-V": return PrintVersion();
            default: throw Unknown(args[0]);
        }
    }

    private static int Help(string? command)
    {
        Output.Out(command switch
        {
            null or "help" => HelpText.Overview(),
            "run" => HelpText.Run(),
            "ps" => HelpText.Ps(),
            "ctl" => HelpText.Ctl(),
            "explain" => HelpText.Explain(),
            "doctor" => HelpText.Doctor(),
            "vfio" => HelpText.Vfio(),
            _ => throw Unknown(command),
        });
        return ExitCodes.Success;
    }

    private static int PrintVersion()
    {
        Output.Out($"microvm {ProductVersion.Text}\n");
        return ExitCodes.Success;
    }

    private static MicroVmException Unknown(string word)
    {
        string what = word.StartsWith('-') ? "unknown flag" : "unknown command";
        string? near = Suggestion.For(word, Names);
        return MicroVmException.Usage(what, word, near is null ? "Run 'microvm --help' for the commands" : $"Did you mean 'microvm {near}'?");
    }
}
