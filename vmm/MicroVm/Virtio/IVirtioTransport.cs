using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio;

/// <summary>All that a virtio device knows of the way it is attached. Callable from any thread, also inside <see cref="VirtioDevice.Activate"/> and an access to the device's configuration.</summary>
public interface IVirtioTransport
{
    /// <summary>Interrupts the driver for used buffers. The caller has asked <see cref="Virtqueue.TakeSignal"/>.</summary>
    void Signal(int queue);

    /// <summary>As <see cref="Signal"/> for two queues: one interrupt where they share it.</summary>
    void SignalBoth(int queue, int other);

    /// <summary>For a backend outside of this process (vhost): the event that stands for <see cref="Signal"/> on a queue until the next reset. Under the gate, in <see cref="VirtioDevice.Activate"/>.</summary>
    EventFd CallEvent(int queue);

    /// <summary>The configuration space reads differently now: the driver is told once it runs.</summary>
    void ConfigChanged();

    /// <summary>The configuration space reads differently now by what the driver did itself: it hears nothing of it.</summary>
    void ConfigRefreshed();

    /// <summary>The driver broke a queue: the device asks for a reset. Logged at a limited rate.</summary>
    void QueueBroken(int queue, QueueFault fault);

    /// <summary>The driver did something wrong that the device ignores: counted, and logged at a limited rate.</summary>
    /// <param name="what">What was wrong, a literal.</param>
    /// <param name="place">Word before the number; empty for none.</param>
    /// <param name="number">The number.</param>
    void GuestError(string what, string place, ulong number);

    /// <summary>The host refused something that the driver had a right to: logged at a limited rate.</summary>
    /// <param name="what">What the device cannot do, with the cause.</param>
    void HostRefused(string what);
}

/// <summary>What a device gets when the driver says that it is ready, all of it checked and final.</summary>
/// <param name="Memory">The guest's memory; outlives the activation.</param>
/// <param name="Features">Features agreed on.</param>
/// <param name="Queues">One per queue of the device, null where the driver did not set one up.</param>
public readonly record struct ActivationContext(GuestMemory Memory, ulong Features, IReadOnlyList<QueueSetup?> Queues);
