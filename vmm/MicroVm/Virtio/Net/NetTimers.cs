using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>Wakes a pair whose frames wait for a limit, one for each direction.</summary>
internal sealed class NetTimers : IDisposable
{
    /// <exception cref="MicroVmException">The host has no file descriptors left.</exception>
    internal NetTimers()
    {
        Receive = new HostTimer();
        try
        {
            Transmit = new HostTimer();
        }
        catch
        {
            Receive.Dispose();
            throw;
        }
    }

    internal HostTimer Receive { get; }

    internal HostTimer Transmit { get; }

    public void Dispose()
    {
        Receive.Dispose();
        Transmit.Dispose();
    }
}

/// <summary>What a network device is held to, in each direction by itself; its pairs of queues share it.</summary>
/// <param name="Receive">Frames to the guest, or null for no limit.</param>
/// <param name="Transmit">Frames from the guest.</param>
internal sealed record NetLimits(RateLimiter? Receive, RateLimiter? Transmit)
{
    internal static NetLimits? Of(RateLimits limits) => limits.IsNone ? null : new NetLimits(RateLimiter.Of(limits), RateLimiter.Of(limits));
}
