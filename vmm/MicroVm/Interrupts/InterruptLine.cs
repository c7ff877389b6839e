using MicroVm.Events;

namespace MicroVm.Interrupts;

/// <summary>A device's end of an interrupt: an eventfd that KVM turns into a message to the vCPU (irqfd). There is no other way to interrupt the guest.</summary>
/// <remarks>While its pin is masked the irqfd is not connected and the event stays counted in the eventfd; connecting it again delivers it once.</remarks>
public sealed class InterruptLine(uint gsi) : IDisposable
{
    /// <summary>Global system interrupt, the key of the route.</summary>
    public uint Gsi { get; } = gsi;

    /// <summary>The event.</summary>
    public EventFd Event { get; } = new();

    /// <summary>Raises an edge. From any thread; one system call, which injects the interrupt before it returns.</summary>
    public void Raise() => Event.Signal();

    /// <inheritdoc/>
    public void Dispose() => Event.Dispose();
}
