using static MicroVm.Devices.VirtioMmio.Bits;

namespace MicroVm.Virtio.Mmio;

/// <summary>The steps that a driver may take with the status register (Virtio 1.2, 2.1 and 3.1), as data.</summary>
internal static class StatusTransitions
{
    private const uint Known = StatusAcknowledge, Found = Known | StatusDriver, Agreed = Found | StatusFeaturesOk, Running = Agreed | StatusDriverOk;

    private static readonly (uint From, uint To)[] s_legal = [(0, Known), (0, Found), (Known, Found), (Found, Agreed), (Agreed, Running)];

    /// <summary>Whether a driver may go from <paramref name="from"/> to <paramref name="to"/>, which is not 0 (a reset is always legal).</summary>
    /// <remarks>Giving up (FAILED) is legal from anywhere and final. NEEDS_RESET is the device's: the driver may repeat it, not set or clear it.</remarks>
    internal static bool Allows(uint from, uint to)
    {
        if ((to & ~from & StatusNeedsReset) != 0) return false;
        from &= ~StatusNeedsReset;
        to &= ~StatusNeedsReset;
        if (to == from || to == (from | StatusFailed)) return true;
        foreach ((uint a, uint b) in s_legal)
        {
            if (a == from && b == to) return true;
        }
        return false;
    }
}
