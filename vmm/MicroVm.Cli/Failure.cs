using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>A failure becomes one line on standard error and an exit code.</summary>
internal static class Failure
{
    private const string DebugVariable = "MICROVM_DEBUG";

    /// <summary>True if the user asked for stack traces.</summary>
    internal static bool Debug => Environment.GetEnvironmentVariable(DebugVariable) == "1";

    /// <summary>Prints the line of <paramref name="e"/> and answers its exit code.</summary>
    internal static int Report(Exception e)
    {
        Output.ErrorLine($"microvm: error: {Line(e)}");
        if (Debug) Output.Error(e + "\n");
        return e is MicroVmException known ? (int)known.Kind : (int)FailureKind.Host;
    }

    /// <summary>An exception that nobody caught, on whatever thread: the same line, and the process ends at once.</summary>
    internal static bool Die(Exception e)
    {
        Terminal.Restore();
        HostProcess.Exit(Report(e));
        return true;
    }

    private static string Line(Exception e) => e switch
    {
        MicroVmException => e.Message,
        OutOfMemoryException => "the host has no memory or no threads left, this process. Raise its limits (ulimit -v, ulimit -u, pids.max, memory.max).",
        _ => $"a bug in microvm, {e.GetType().Name}: {e.Message}. Set {DebugVariable}=1 to see where, and report it.",
    };
}
