namespace MicroVm.Cli;

/// <summary>Numbers as people read them.</summary>
internal static class HumanText
{
    /// <summary>A number of bytes in the unit in which it is whole, or nearly: <c>512 MiB</c>.</summary>
    internal static string Bytes(ulong bytes) => bytes switch
    {
        >= 1UL << 30 when bytes % (1UL << 30) == 0 => $"{bytes >> 30} GiB",
        >= 1UL << 20 => $"{bytes >> 20} MiB",
        >= 1UL << 10 => $"{bytes >> 10} KiB",
        _ => $"{bytes} bytes",
    };

    /// <summary>A time in its two largest units: <c>3m 12s</c>.</summary>
    internal static string Seconds(long seconds) => seconds switch
    {
        < 60 => $"{seconds}s",
        < 3600 => $"{seconds / 60}m {seconds % 60}s",
        < 86_400 => $"{seconds / 3600}h {seconds / 60 % 60}m",
        _ => $"{seconds / 86_400}d {seconds / 3600 % 24}h",
    };
}
