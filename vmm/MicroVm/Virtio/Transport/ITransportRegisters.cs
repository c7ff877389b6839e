using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Transport;

/// <summary>What differs between the transports: where the registers are. Everything is called under <see cref="Gate"/>, but for <see cref="RaiseQueue"/> and <see cref="ShareInterrupt"/>.</summary>
internal interface ITransportRegisters
{
    /// <summary>The gate of the block with the status register.</summary>
    Lock Gate { get; }

    /// <summary>The status register.</summary>
    VirtioStatus Status { get; set; }

    /// <summary>What the driver wrote for a queue, or null if it did not set it up.</summary>
    QueueRequest? Ready(int queue);

    /// <summary>Makes the page true.</summary>
    void Publish();

    /// <summary>Where the guest reads the device's own configuration space.</summary>
    ResidentPage ConfigPage { get; }

    /// <summary>Every register at its value after reset.</summary>
    void ResetAll();

    /// <summary>Interrupts the driver for used buffers. From any thread.</summary>
    void RaiseQueue(int queue);

    /// <summary>Whether <see cref="RaiseQueue"/> does the same for both queues. From any thread.</summary>
    bool ShareInterrupt(int queue, int other);

    /// <summary>What <see cref="IVirtioTransport.CallEvent"/> gives.</summary>
    EventFd CallEvent(int queue);

    /// <summary>Interrupts the driver because the configuration or the status changed.</summary>
    void RaiseConfig();
}
