using System.Diagnostics;

namespace MicroVm.Virtio.Queue;

/// <summary>When used buffers are announced within a turn that uses many: together, but none waits longer than 50 µs for those behind it. What is left at the end of the turn is announced there.</summary>
/// <param name="firstAtOnce">The first of the turn is announced by itself: for what the guest waits for, and does not know when it comes. Then a turn that uses one buffer reads no clock.</param>
internal struct SignalPace(bool firstAtOnce)
{
    private static readonly long s_ticks = Stopwatch.Frequency / 20_000;

    private bool _begun;
    private long _since;

    /// <summary>Asked after each one; true if it is time.</summary>
    internal bool IsDue()
    {
        if (!_begun)
        {
            _begun = true;
            return firstAtOnce;
        }
        long now = Stopwatch.GetTimestamp();
        if (_since == 0) _since = now;
        if (now - _since < s_ticks) return false;
        _since = now;
        return true;
    }
}
