namespace MicroVm;

/// <summary>How much a device may transfer. Over any time T it is at most rate times T, one burst and one request.</summary>
/// <param name="BytesPerSecond">0 for no limit.</param>
/// <param name="OperationsPerSecond">0 for no limit.</param>
/// <param name="BurstMilliseconds">So much of each rate is saved up while the device is idle, and may then be used at once.</param>
public readonly record struct RateLimits(ulong BytesPerSecond, ulong OperationsPerSecond, uint BurstMilliseconds = RateLimits.DefaultBurst)
{
    /// <summary>Milliseconds where nobody says more: a tenth of a second at full speed, then the rate.</summary>
    public const uint DefaultBurst = 100;

    /// <summary>Nothing is limited.</summary>
    public bool IsNone => BytesPerSecond == 0 && OperationsPerSecond == 0;
}
