using MicroVm.Boot;
using MicroVm.Cli.Arguments;
using MicroVm.Cli.Control;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary><c>microvm run</c>: boots a guest and ends with its exit code.</summary>
internal static class RunCommand
{
    private const int PatienceMilliseconds = 2000;

    internal static int Execute(string[] args)
    {
        RunSettings settings = new();
        if (!RunOptions.Parse(args, settings))
        {
            Output.Out(HelpText.Run());
            return ExitCodes.Success;
        }
        MachineOptions options = settings.ToOptions();
        if (CommandLineNotes.Of(options.CommandLine) is { } note) Output.ErrorLine(note);
        Timeline.Mark("arguments");
        using HostFile? timeline = settings.Timeline is { } path ? OutputFile.Create(path, "the timeline") : null;
        try
        {
            return Run(options, settings);
        }
        finally
        {
            Timeline.Mark("exit");
            if (timeline is not null) WriteTimeline(timeline, settings.Timeline!);
        }
    }

    private static int Run(MachineOptions options, RunSettings settings)
    {
        using Machine machine = Machine.Create(options);
        Timeline.Mark("created");
        using ControlServer? control = Listen(machine, settings);
        bool raw = settings.UsesTerminal && Terminal.OnStandardInput;
        using StopSignals signals = new(machine, raw);
        if (raw) machine.FilterKeys(new EscapeFilter(command => OnKey(command, signals)));
        MachineResult result;
        try
        {
            if (raw) Terminal.EnterRaw(signals.Remember);
            result = machine.Run();
        }
        finally
        {
            // While signals are still watched: one that kills would leave it raw.
            Terminal.Restore();
        }
        control?.Dispose();
        // The last lines of a trace come before the line about the end.
        signals.Dispose();
        signals.LimitDisposal(result.ExitCode);
        machine.Dispose();
        SignalWatch.Disarm();
        return Report(result);
    }

    private static ControlServer? Listen(Machine machine, RunSettings settings)
    {
        if (settings.Name is { } named) ControlPath.MakeFolder(named);
        return (settings.Name ?? settings.Socket) is { } path ? new ControlServer(machine, path) : null;
    }

    private static void OnKey(EscapeCommand command, StopSignals signals)
    {
        if (command == EscapeCommand.Quit) signals.StopByKey();
        else Output.Error("microvm: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h prints this\n");
    }

    private static int Report(MachineResult result)
    {
        if (result.LostOutput != 0)
        {
            Output.ErrorLine($"microvm: note: {result.LostOutput} bytes of the guest's output are lost, " +
                "their reader was too slow or their file could not grow.");
        }
        switch (result.Reason)
        {
            case EndReason.GuestExit or EndReason.PowerOff or EndReason.Reset:
                return result.ExitCode;
            case EndReason.Stopped:
                Output.ErrorLine($"microvm: {result.Description}");
                return result.ExitCode;
            case EndReason.HostRefused:
                Output.ErrorLine($"microvm: error: {result.Description}");
                return result.ExitCode;
            case EndReason.DeviceLost:
                Output.ErrorLine($"microvm: error: the guest was stopped, {result.Description}. The kernel's log says more (dmesg).");
                return result.ExitCode;
            case EndReason.Panic:
                Output.Error(result.CrashReport ?? "");
                Output.ErrorLine($"microvm: error: {result.Description}, see its console. Look for the first 'Kernel panic' line there.");
                return result.ExitCode;
            case EndReason.EmergencyRestart:
                Output.Error(result.CrashReport ?? "");
                Output.ErrorLine($"microvm: error: {result.Description}, see its console. Look for 'Kernel panic' there; sysrq-b and reboot=force do the same.");
                return result.ExitCode;
            case EndReason.Crash when result.ExitCode == MachineResult.CrashedCode:
                Output.Error(result.CrashReport ?? "");
                Output.ErrorLine($"microvm: error: {result.Description}, as reported above. See what the guest did last there; '--trace all' shows more.");
                return result.ExitCode;
            default:
                Output.ErrorLine($"microvm: error: {result.Description}, a bug in microvm. Set MICROVM_DEBUG=1 to see where, and report it.");
                if (Failure.Debug) Output.Error(result.CrashReport ?? "");
                return result.ExitCode;
        }
    }

    // The guest's exit code stays: whoever waits for the machine does not wait for this.
    private static void WriteTimeline(HostFile file, string path)
    {
        int error = Output.Write(file.Descriptor, JsonText.Of(Timeline.Json(), indented: true), PatienceMilliseconds);
        if (error == 0) return;
        MicroVmException refused = MicroVmException.Refused(FailureKind.Host, "cannot write the timeline", path, error,
            "Free space on its file system");
        Output.ErrorLine($"microvm: error: {refused.Message}");
    }
}
