namespace MicroVm.Events;

/// <summary>Holds the transfers of a device to limits of bytes and operations; its queues share it. Never waits: it says how long to wait.</summary>
internal sealed class RateLimiter
{
    private readonly Lock _gate = new();
    private readonly bool _limitsBytes, _limitsOperations;
    private TokenBucket _bytes, _operations;

    /// <param name="limits">What is allowed.</param>
    /// <param name="now">Nanoseconds of a clock that never goes back, as in every other call.</param>
    internal RateLimiter(RateLimits limits, long now)
    {
        (_limitsBytes, _limitsOperations) = (limits.BytesPerSecond != 0, limits.OperationsPerSecond != 0);
        _bytes = Bucket(limits.BytesPerSecond, limits.BurstMilliseconds, now);
        _operations = Bucket(limits.OperationsPerSecond, limits.BurstMilliseconds, now);
    }

    /// <summary>The limiter for what the user asked, or null for none.</summary>
    internal static RateLimiter? Of(RateLimits limits) => limits.IsNone ? null : new RateLimiter(limits, Now);

    /// <summary>The time by the host's clock.</summary>
    internal static long Now => System.Diagnostics.Stopwatch.GetTimestamp();

    /// <summary>Takes one operation of so many bytes, all of it or nothing; false, and after how many nanoseconds to try again, if it has to wait.</summary>
    internal bool TryTake(ulong bytes, long now, out long wait)
    {
        lock (_gate)
        {
            wait = Math.Max(_limitsBytes && bytes != 0 ? _bytes.Wait(now) : 0, _limitsOperations ? _operations.Wait(now) : 0);
            if (wait != 0) return false;
            if (_limitsBytes) _bytes.Take(bytes);
            if (_limitsOperations) _operations.Take(1);
            return true;
        }
    }

    private static TokenBucket Bucket(ulong rate, uint milliseconds, long now) =>
        new(rate, (ulong)UInt128.Min(ulong.MaxValue, UInt128.Max(1, (UInt128)rate * milliseconds / 1000)), now);
}
