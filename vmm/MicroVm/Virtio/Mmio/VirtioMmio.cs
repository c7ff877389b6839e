using MicroVm.Bus;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Mmio;

namespace MicroVm.Devices;

/// <summary>The registers that carry a virtio device over MMIO. This file: what they read as; beside it the way from reset to activation and back, and what comes from the device.</summary>
public sealed partial class VirtioMmio : IVirtioTransport, IDisposable
{
    private readonly int _slot;
    private readonly VirtioDevice _device;
    private readonly GuestMemory _memory;
    private readonly InterruptLine _line;
    private readonly GuestErrors _errors;
    private readonly EventFd[] _kicks;
    private readonly DoorbellRequest[] _doorbells;
    private ulong _accepted;
    private uint _generation;

    /// <summary>Attaches a device, which the transport then owns.</summary>
    /// <param name="slot">Number of the transport, for messages.</param>
    /// <param name="device">What it carries.</param>
    /// <param name="memory">Where its queues and buffers lie.</param>
    /// <param name="line">Its interrupt, edge-triggered; owned by the machine.</param>
    /// <param name="acknowledged">Swallows acknowledges of used buffers; nobody listens, so one serves all transports. Owned by the machine.</param>
    /// <param name="errors">Where the guest's mistakes are counted.</param>
    /// <param name="page">From where the guest reads the registers, or null if it exits for each.</param>
    public VirtioMmio(int slot, VirtioDevice device, GuestMemory memory, InterruptLine line, EventFd acknowledged, GuestErrors errors, ResidentPage? page = null)
    {
        (_slot, _device, _memory, _line, _errors) = (slot, device, memory, line, errors);
        _kicks = new EventFd[device.QueueSizes.Length];
        for (int i = 0; i < _kicks.Length; i++) _kicks[i] = new EventFd();
        _doorbells = ListDoorbells(acknowledged);
        Initialize(page, _kicks.Length);
        for (int i = 0; i < _kicks.Length; i++) Queue[i].MaxSize = device.QueueSizes[i];
        CopyConfig();
        PublishResident();
        device.Attach(this);
    }

    /// <summary>The device behind the registers.</summary>
    public VirtioDevice Device => _device;

    /// <summary>Features that the driver accepted so far.</summary>
    internal ulong AcceptedFeatures => _accepted;

    /// <summary>Writes that need no exit; KVM is told by the machine.</summary>
    public ReadOnlySpan<DoorbellRequest> Doorbells => _doorbells;

    /// <summary>Resets the device and closes it. No vCPU runs any more.</summary>
    public void Dispose()
    {
        lock (Gate) ResetDevice();
        _device.Dispose();
        foreach (EventFd kick in _kicks) kick.Dispose();
    }

    private DoorbellRequest[] ListDoorbells(EventFd acknowledged)
    {
        List<DoorbellRequest> list = [];
        foreach (RegisterInfo register in Catalog.Registers)
        {
            if ((register.Traits & RegisterTraits.Doorbell) == 0) continue;
            // The one with a value of its own is the acknowledge; the other takes the queue's number.
            if (register.Doorbell is { } value) list.Add(new(register.Offset, (int)register.Width, value, acknowledged));
            else if (_kicks.Length == 1) list.Add(new(register.Offset, (int)register.Width, null, _kicks[0]));
            else for (int i = 0; i < _kicks.Length; i++) list.Add(new(register.Offset, (int)register.Width, (ulong)i, _kicks[i]));
        }
        return [.. list];
    }

    private partial uint ReadDeviceId() => _device.DeviceId;

    private partial uint ReadDeviceFeatures() => _r.DeviceFeaturesSel <= 1 ? (uint)(_device.Features >> (int)(32 * _r.DeviceFeaturesSel)) : 0;

    private partial void AckFeatures(uint value)
    {
        if (_r.DriverFeaturesSel > 1)
        {
            if (value != 0) _errors.Report(_device.Name, _slot, "accepts features that do not exist", "selector", _r.DriverFeaturesSel);
            return;
        }
        int shift = (int)(32 * _r.DriverFeaturesSel);
        _accepted = (_accepted & ~((ulong)uint.MaxValue << shift)) | ((ulong)value << shift);
    }

    private partial void Notify(uint value)
    {
        if (value < (uint)_kicks.Length) _kicks[value].Signal();
        else _errors.Report(_device.Name, _slot, "notifies a queue that does not exist", "queue", value);
    }

    private partial uint ReadConfigGeneration() => _generation;

    private partial IoStatus WriteConfig(uint offset, int width, ulong value)
    {
        if (_device.Config is not { } config) return IoStatus.NoRegister;
        IoStatus status = config.Write(offset, width, value);
        if (status == IoStatus.Ok) CopyConfig();
        return status;
    }

    // In the widest aligned pieces: a field is stored at once, for the guest reads it at any moment.
    private void CopyConfig()
    {
        if (_device.Config is not { } config) return;
        uint size = config.Info.Size, start = Size - (uint)ConfigBytes.Length;
        for (uint at = 0; at < size;)
        {
            int width = size - at >= 8 ? 8 : size - at >= 4 ? 4 : size - at >= 2 ? 2 : 1;
            _ = config.Read(at, width, out ulong value);
            if (width == 8) _page.Store(start + at, value);
            else if (width == 4) _page.Store(start + at, (uint)value);
            else if (width == 2) _page.Store(start + at, (ushort)value);
            else _page.Store(start + at, (byte)value);
            at += (uint)width;
        }
    }
}
