using MicroVm.Cli.Arguments;

namespace MicroVm.Cli;

/// <summary><c>microvm doctor</c>.</summary>
internal static class DoctorCommand
{
    internal static int Execute(string[] args)
    {
        DoctorSettings settings = new();
        if (!DoctorOptions.Parse(args, settings))
        {
            Output.Out(HelpText.Doctor());
            return ExitCodes.Success;
        }
        return ExitCodes.Success;
    }
}
