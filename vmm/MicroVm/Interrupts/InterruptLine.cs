using MicroVm.Events;

namespace MicroVm.Interrupts;

/// <summary>A device's end of an interrupt: an eventfd that KVM turns into a message to the vCPU (irqfd). There is no other way to interrupt the guest.</summary>
/// <remarks>While its pin is masked the irqfd is not connected and the event stays counted in the eventfd; connecting it again delivers it once.</remarks>
public sealed class InterruptLine(uint gsi) : IDisposable
{
    private long _raised;

    /// <summary>Global system interrupt, the key of the route.</summary>
    public uint Gsi { get; } = gsi;

    /// <summary>The event.</summary>
    public EventFd Event { get; } = new();

    /// <summary>Times that this process has raised it.</summary>
    internal long Raised => Volatile.Read(ref _raised);

    /// <summary>The event was given to the host's kernel, whose signals nobody counts here.</summary>
    internal bool FromKernel { get; private set; }

    /// <summary>Raises an edge. From any thread; one system call, which injects the interrupt before it returns.</summary>
    public void Raise()
    {
        Interlocked.Increment(ref _raised);
        Event.Signal();
    }

    /// <summary>The event, for those who signal it in this process's place.</summary>
    internal EventFd Hand()
    {
        FromKernel = true;
        return Event;
    }

    /// <inheritdoc/>
    public void Dispose() => Event.Dispose();
}
