namespace MicroVm.Virtio.Balloon;

/// <summary>What went through a balloon since it was made. Written by its thread, read by any.</summary>
internal sealed class BalloonCounters
{
    private long _inflated, _deflated, _reported, _ignored;

    /// <summary>Pages that the guest gave up, and that went back to the host.</summary>
    internal long Inflated => Volatile.Read(ref _inflated);

    /// <summary>Pages that it took back.</summary>
    internal long Deflated => Volatile.Read(ref _deflated);

    /// <summary>Pages that it reported as free, and that went back to the host.</summary>
    internal long Reported => Volatile.Read(ref _reported);

    /// <summary>Page numbers that are no RAM of the guest's, or too many for one request.</summary>
    internal long Ignored => Volatile.Read(ref _ignored);

    internal void CountInflated(ulong pages) => Volatile.Write(ref _inflated, _inflated + (long)pages);

    internal void CountDeflated(ulong pages) => Volatile.Write(ref _deflated, _deflated + (long)pages);

    internal void CountReported(ulong pages) => Volatile.Write(ref _reported, _reported + (long)pages);

    internal void CountIgnored(ulong pages) => Volatile.Write(ref _ignored, _ignored + (long)pages);
}
