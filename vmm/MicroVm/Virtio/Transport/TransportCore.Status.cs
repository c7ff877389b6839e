using MicroVm.Devices;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Transport;

/// <summary>From reset to activation and back. All of it runs under the gate, on a vCPU.</summary>
internal sealed partial class TransportCore
{
    private bool _active;
    private bool _mayUseMemory = true;

    /// <summary>The driver writes the status register: what is stored is returned.</summary>
    internal VirtioStatus WriteStatus(VirtioStatus old, VirtioStatus value)
    {
        if (value == 0)
        {
            ResetDevice();
            return 0;
        }
        if (!StatusTransitions.Allows(old, value)) return old;
        VirtioStatus gained = value & ~old;
        // 3.1.1: the driver reads the status back and sees that its choice was not accepted.
        if ((gained & VirtioStatus.FeaturesOk) != 0 && !FeaturesAreAcceptable()) return old;
        _registers.Status = value | (old & VirtioStatus.NeedsReset);
        if ((gained & VirtioStatus.DriverOk) != 0 && _mayUseMemory) ActivateDevice();
        return _registers.Status;
    }

    /// <summary>Whether the device may use the guest's memory (PCI: bus master). Without it a device that is ready waits; one that runs stops and asks for a reset.</summary>
    internal void AllowMemory(bool allowed)
    {
        lock (_registers.Gate)
        {
            if (_mayUseMemory == allowed) return;
            _mayUseMemory = allowed;
            bool ready = (_registers.Status & (VirtioStatus.DriverOk | VirtioStatus.NeedsReset)) == VirtioStatus.DriverOk;
            if (allowed && ready && !_active) ActivateDevice();
            else if (!allowed && _active) StopDevice();
        }
    }

    private bool FeaturesAreAcceptable()
    {
        ulong strange = _accepted & ~Offered;
        if (strange != 0) _errors.Report(_device.Name, _slot, "driver accepts features that were not offered", "bits", strange);
        // A driver that knows nothing of the IOMMU would give addresses that mean something else.
        ulong needed = (ulong)VirtioFeatures.Version1 | (Behind is null ? 0 : (ulong)VirtioFeatures.AccessPlatform);
        return strange == 0 && (_accepted & needed) == needed;
    }

    private void ActivateDevice()
    {
        BeginTransition();
        try
        {
            if (FreezeQueues() is { } queues)
            {
                _active = true;
                _device.Activate(new ActivationContext(_memory, _accepted, queues));
            }
        }
        catch (Exception e) when (e is MicroVmException or OutOfMemoryException)
        {
            // The host's fault, not the guest's; all the guest can be told is that this device is out of order.
            _device.Reset();
            HostRefused($"cannot run: {e.Message}");
            Interlocked.Or(ref _pending, PendingBroken);
        }
        EndTransition();
        ApplyPending();
    }

    private void StopDevice()
    {
        BeginTransition();
        _device.Reset();
        Behind?.Forget();
        _active = false;
        Interlocked.Or(ref _pending, PendingBroken);
        EndTransition();
        ApplyPending();
    }

    // Null, with the device marked broken, unless all that the driver set up is in order.
    private QueueSetup?[]? FreezeQueues()
    {
        QueueSetup?[] queues = new QueueSetup?[_kicks.Length];
        for (int i = 0; i < queues.Length; i++)
        {
            if (_registers.Ready(i) is not { } request) continue;
            QueueFault fault = QueueSetup.TryCreate(i, request, _device.QueueSizes[i], _accepted, _memory, Behind, _kicks[i], out queues[i]);
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
        Behind?.Forget();
        _active = false;
        EndTransition();
        // What the last activation had to say is void, what the host changed in the configuration is not.
        if ((Interlocked.Exchange(ref _pending, 0) & (PendingConfig | PendingRefresh)) != 0) RefreshConfig();
        _announceConfig = false;
        _accepted = 0;
        _registers.ResetAll();
    }
}
