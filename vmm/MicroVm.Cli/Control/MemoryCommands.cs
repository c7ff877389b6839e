using MicroVm.Diagnostics;

namespace MicroVm.Cli.Control;

/// <summary>What can be asked of a machine's memory, and changed.</summary>
internal static class MemoryCommands
{
    /// <summary>What the balloon is and did, and the guest's own figures.</summary>
    internal static JsonMap Balloon(Machine machine)
    {
        BalloonInfo balloon = machine.Balloon ?? throw MicroVmException.Usage("the machine has no balloon", "balloon", "Start it with --balloon");
        JsonMap answer = new()
        {
            ["targetBytes"] = balloon.TargetBytes,
            ["actualBytes"] = balloon.ActualBytes,
            ["inflatedBytes"] = balloon.InflatedBytes,
            ["deflatedBytes"] = balloon.DeflatedBytes,
            ["reportedBytes"] = balloon.ReportedBytes,
            ["ignoredPages"] = balloon.IgnoredPages,
        };
        foreach ((string name, ulong value) in balloon.Statistics) answer[name] = value;
        return answer;
    }

    /// <summary>How much memory the guest has, from where.</summary>
    internal static JsonMap Memory(Machine machine)
    {
        MemoryInfo memory = machine.Memory;
        return new JsonMap
        {
            ["bootBytes"] = memory.BootBytes,
            ["presentBytes"] = memory.PresentBytes,
            ["virtioMemSizeBytes"] = memory.MemSizeBytes,
            ["virtioMemRequestedBytes"] = memory.MemRequestedBytes,
            ["virtioMemPluggedBytes"] = memory.MemPluggedBytes,
            ["dimmMaxBytes"] = memory.DimmMaxBytes,
            ["dimmBytes"] = memory.DimmBytes,
        };
    }
}
