using MicroVm.Virtio;
using MicroVm.Virtio.Mmio;
using MicroVm.Virtio.Queue;

namespace MicroVm.Devices;

/// <summary>From reset to activation and back. All of it runs under the gate, on the vCPU that wrote the status.</summary>
public sealed partial class VirtioMmio
{
    private partial uint WriteStatus(uint old, uint value)
    {
        if (value == 0)
        {
            ResetDevice();
            return 0;
        }
        if (!StatusTransitions.Allows(old, value)) return old;
        uint gained = value & ~old;
        // 3.1.1: the driver reads the status back and sees that its choice was not accepted.
        if ((gained & Bits.StatusFeaturesOk) != 0 && !FeaturesAreAcceptable()) return old;
        _r.Status = value | (old & Bits.StatusNeedsReset);
        if ((gained & Bits.StatusDriverOk) != 0) ActivateDevice();
        return _r.Status;
    }

    private bool FeaturesAreAcceptable()
    {
        ulong strange = _accepted & ~_device.Features;
        if (strange != 0) _errors.Report(_device.Name, _slot, "driver accepts features that were not offered", "bits", strange);
        return strange == 0 && (_accepted & (ulong)VirtioFeatures.Version1) != 0;
    }

    private void ActivateDevice()
    {
        BeginTransition();
        try
        {
            if (FreezeQueues() is { } queues) _device.Activate(new ActivationContext(_memory, _accepted, queues));
        }
        catch (Exception e) when (e is MicroVmException or OutOfMemoryException)
        {
            // The host's fault, not the guest's; all the guest can be told is that this device is out of order.
            _device.Reset();
            _errors.Report(_device.Name, _slot, "the host refused what the device needs to run");
            Interlocked.Or(ref _pending, PendingBroken);
        }
        EndTransition();
        ApplyPending();
    }

    // Null, with the device marked broken, unless all that the driver set up is in order.
    private QueueSetup?[]? FreezeQueues()
    {
        QueueSetup?[] queues = new QueueSetup?[Queue.Length];
        for (int i = 0; i < queues.Length; i++)
        {
            ref QueueBank q = ref Queue[i];
            if (q.Ready == 0) continue;
            QueueRequest request = new(q.Size, q.Desc, q.Driver, q.Device);
            QueueFault fault = QueueSetup.TryCreate(i, request, (ushort)q.MaxSize, _accepted, _memory, _kicks[i], out queues[i]);
            if (fault == QueueFault.None) continue;
            QueueBroken(i, fault);
            return null;
        }
        return queues;
    }

    private void ResetDevice()
    {
        BeginTransition();
        _device.Reset();
        EndTransition();
        // What the last activation had to say is void, what the host changed in the configuration is not.
        if ((Interlocked.Exchange(ref _pending, 0) & PendingConfig) != 0) RefreshConfig();
        _announceConfig = false;
        _accepted = 0;
        ResetRegisters();
    }
}
