namespace MicroVm.Events;

/// <summary>Tokens that come at a steady rate and are saved up to a limit. Exact however long it runs: what is saved is counted in billionths of a token, so nothing is rounded away.</summary>
/// <remarks>The time is the caller's, in nanoseconds of a clock that never goes back; there is none in here to be faked. Not for several threads at once.</remarks>
/// <param name="rate">Tokens a second, at least 1.</param>
/// <param name="burst">Most tokens that are saved, at least 1. The bucket is full at first.</param>
/// <param name="now">The time.</param>
internal struct TokenBucket(ulong rate, ulong burst, long now)
{
    private const ulong Billion = 1_000_000_000;

    private readonly Int128 _full = (Int128)burst * Billion;
    private Int128 _saved = (Int128)burst * Billion;
    private long _then = now;

    /// <summary>Nanoseconds until something may be taken; 0 if it may now, which takes a whole token.</summary>
    internal long Wait(long now)
    {
        if (now > _then) _saved = Int128.Min(_full, _saved + ((Int128)(now - _then) * rate));
        _then = Math.Max(now, _then);
        Int128 missing = Billion - _saved;
        return missing <= 0 ? 0 : (long)Int128.Min(long.MaxValue, (missing + rate - 1) / rate);
    }

    /// <summary>Takes tokens. Those that are not there are owed, and what comes pays for them first: so a request may be larger than the bucket, and no time is lost to a bucket that runs over.</summary>
    internal void Take(ulong tokens) => _saved -= (Int128)tokens * Billion;
}
