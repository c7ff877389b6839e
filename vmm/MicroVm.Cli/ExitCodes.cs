namespace MicroVm.Cli;

/// <summary>Exit codes that are not the guest's (docs: <c>microvm run --help</c>). Those of failures are the values of <see cref="FailureKind"/>.</summary>
internal static class ExitCodes
{
    internal const int Success = 0;

    /// <summary>Added to the number of the signal that ended this process.</summary>
    internal const int Signal = 128;
}
