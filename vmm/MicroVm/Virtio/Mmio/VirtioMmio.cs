using MicroVm.Bus;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Mmio;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Transport;

namespace MicroVm.Devices;

/// <summary>The registers that carry a virtio device over MMIO. What they do is <see cref="TransportCore"/>'s.</summary>
public sealed partial class VirtioMmio : ITransportRegisters, IDisposable
{
    private readonly TransportCore _core;
    private readonly InterruptLine _line;
    private readonly DoorbellRequest[] _doorbells;
    private ResidentPage? _configPage;

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
        _line = line;
        _core = new TransportCore(this, slot, device, memory, errors);
        _doorbells = ListDoorbells(acknowledged);
        Initialize(page, device.QueueSizes.Length);
        for (int i = 0; i < Queue.Length; i++) Queue[i].MaxSize = device.QueueSizes[i];
        _core.Start();
    }

    /// <summary>The device behind the registers.</summary>
    public VirtioDevice Device => _core.Device;

    /// <summary>What both transports do.</summary>
    internal TransportCore Core => _core;

    /// <summary>Its interrupt.</summary>
    internal InterruptLine Line => _line;

    /// <summary>Features that the driver accepted so far.</summary>
    internal ulong AcceptedFeatures => _core.Accepted;

    /// <summary>Writes that need no exit; KVM is told by the machine.</summary>
    public ReadOnlySpan<DoorbellRequest> Doorbells => _doorbells;

    /// <summary>Resets the device and closes it. No vCPU runs any more.</summary>
    public void Dispose() => _core.Dispose();

    VirtioStatus ITransportRegisters.Status
    {
        get => (VirtioStatus)_r.Status;
        set => _r.Status = (uint)value;
    }

    ResidentPage ITransportRegisters.ConfigPage => _configPage ??= _page.Slice(Size - (uint)ConfigBytes.Length, ConfigBytes.Length);

    QueueRequest? ITransportRegisters.Ready(int queue)
    {
        ref QueueBank q = ref Queue[queue];
        return q.Ready == 0 ? null : new QueueRequest(q.Size, q.Desc, q.Driver, q.Device);
    }

    void ITransportRegisters.Publish() => PublishResident();

    void ITransportRegisters.ResetAll() => ResetRegisters();

    // See docs/decisions/0020: the bit stays set until reset, so that its acknowledge needs no exit; it is true before the edge.
    void ITransportRegisters.RaiseQueue(int queue)
    {
        if (!InterruptStatusUsedBuffer) RaiseInterruptStatus(Bits.InterruptStatusUsedBuffer);
        _line.Raise();
    }

    bool ITransportRegisters.ShareInterrupt(int queue, int other) => true;

    // Nobody is there to set the bit when the time comes; as it would stay set from then on, it may as well be set before (docs/decisions/0050).
    EventFd ITransportRegisters.CallEvent(int queue)
    {
        RaiseInterruptStatus(Bits.InterruptStatusUsedBuffer);
        return _line.Hand();
    }

    void ITransportRegisters.RaiseConfig()
    {
        RaiseInterruptStatus(Bits.InterruptStatusConfigChange);
        _line.Raise();
    }

    private DoorbellRequest[] ListDoorbells(EventFd acknowledged)
    {
        ReadOnlySpan<EventFd> kicks = _core.Kicks;
        List<DoorbellRequest> list = [];
        foreach (RegisterInfo register in Catalog.Registers)
        {
            if ((register.Traits & RegisterTraits.Doorbell) == 0) continue;
            // The one with a value of its own is the acknowledge; the other takes the queue's number.
            if (register.Doorbell is { } value) list.Add(new(register.Offset, (int)register.Width, value, acknowledged));
            else if (kicks.Length == 1) list.Add(new(register.Offset, (int)register.Width, null, kicks[0]));
            else for (int i = 0; i < kicks.Length; i++) list.Add(new(register.Offset, (int)register.Width, (ulong)i, kicks[i]));
        }
        return [.. list];
    }

    private partial uint ReadDeviceId() => _core.Device.DeviceId;

    private partial uint ReadDeviceFeatures() => _core.OfferedFeatures(_r.DeviceFeaturesSel);

    private partial void AckFeatures(uint value) => _core.Accept(_r.DriverFeaturesSel, value);

    private partial uint WriteStatus(uint old, uint value) => (uint)_core.WriteStatus((VirtioStatus)old, (VirtioStatus)value);

    // No device has any, and so none reads differently.
    private partial void SelectRegion(uint value) { }

    private partial void Notify(uint value) => _core.Notify(value);

    private partial uint ReadConfigGeneration() => _core.Generation;

    private partial IoStatus WriteConfig(uint offset, int width, ulong value) => _core.WriteConfig(offset, width, value);
}
