using MicroVm.Devices;

namespace MicroVm.Virtio.Transport;

/// <summary>The steps that a driver may take with the status register (Virtio 1.2, 2.1 and 3.1), as data.</summary>
internal static class StatusTransitions
{
    private const VirtioStatus Known = VirtioStatus.Acknowledge, Found = Known | VirtioStatus.Driver, Agreed = Found | VirtioStatus.FeaturesOk, Running = Agreed | VirtioStatus.DriverOk;

    private static readonly (VirtioStatus From, VirtioStatus To)[] s_legal = [(0, Known), (0, Found), (Known, Found), (Found, Agreed), (Agreed, Running)];

    /// <summary>Whether a driver may go from <paramref name="from"/> to <paramref name="to"/>, which is not 0 (a reset is always legal).</summary>
    /// <remarks>Giving up (FAILED) is legal from anywhere and final. NEEDS_RESET is the device's: the driver may repeat it, not set or clear it.</remarks>
    internal static bool Allows(VirtioStatus from, VirtioStatus to)
    {
        if ((to & ~from & VirtioStatus.NeedsReset) != 0) return false;
        from &= ~VirtioStatus.NeedsReset;
        to &= ~VirtioStatus.NeedsReset;
        if (to == from || to == (from | VirtioStatus.Failed)) return true;
        foreach ((VirtioStatus a, VirtioStatus b) in s_legal)
        {
            if (a == from && b == to) return true;
        }
        return false;
    }
}
