namespace MicroVm.Tests.Shared;

/// <summary>How often a test repeats what is slow: <c>./test full</c> sets <c>MICROVM_EFFORT=full</c>.</summary>
public static class Effort
{
    private static readonly bool s_full = Environment.GetEnvironmentVariable("MICROVM_EFFORT") == "full";

    /// <summary>One of two counts.</summary>
    /// <param name="quick">For the gate that everybody waits for.</param>
    /// <param name="full">For the long one.</param>
    public static int Of(int quick, int full) => s_full ? full : quick;
}
