using MicroVm.Bus;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Transport;

namespace MicroVm.Devices;

/// <summary>The registers that carry a virtio device over PCI: its common configuration, and from 0x100 on its own. What they do is <see cref="TransportCore"/>'s.</summary>
public sealed partial class VirtioPciCommon : ITransportRegisters
{
    private readonly VirtioPciIsr _isr;
    private readonly MsixTable _msix;
    private readonly ResidentPage _configPage;
    private readonly LineRelay? _relay;

    internal VirtioPciCommon(Func<VirtioPciCommon, TransportCore> makeCore, MsixTable msix, VirtioPciIsr isr, bool hasLine, ResidentPage page)
    {
        (_msix, _isr) = (msix, isr);
        _configPage = page.Slice(VirtioPciConst.ConfigOffset, VirtioPciConst.ConfigLength);
        Core = makeCore(this);
        if (hasLine) _relay = new LineRelay(() => isr.Raise(VirtioPciIsr.Bits.IsrQueue), Core.Kicks.Length,
            Core.Device);
        Initialize(page, Core.Kicks.Length);
        Core.Start();
    }

    /// <summary>What both transports do.</summary>
    internal TransportCore Core { get; }

    /// <summary>Called after the registers changed, for those who show them elsewhere.</summary>
    internal Action? Published { private get; set; }

    VirtioStatus ITransportRegisters.Status
    {
        get => (VirtioStatus)_r.Status;
        set => _r.Status = (byte)value;
    }

    ResidentPage ITransportRegisters.ConfigPage => _configPage;

    QueueRequest? ITransportRegisters.Ready(int queue)
    {
        ref QueueBank q = ref Queue[queue];
        return q.Ready == 0 ? null : new QueueRequest(SizeOf(queue), q.Desc, q.Driver, q.Device);
    }

    void ITransportRegisters.Publish()
    {
        PublishResident();
        Published?.Invoke();
    }

    void ITransportRegisters.ResetAll()
    {
        ResetRegisters();
        _relay?.Stop();
        _isr.Clear();
        _msix.ClearPending();
    }

    void ITransportRegisters.RaiseQueue(int queue) => Raise(Volatile.Read(ref Queue[queue].Vector), VirtioPciIsr.Bits.IsrQueue);

    bool ITransportRegisters.ShareInterrupt(int queue, int other) => !_msix.Enabled || Volatile.Read(ref Queue[queue].Vector) == Volatile.Read(ref Queue[other].Vector);

    void ITransportRegisters.RaiseConfig() => Raise(_r.ConfigVector, VirtioPciIsr.Bits.IsrConfig);

    // With MSI-X but without a vector the driver looks for itself, and what is signalled is heard by nobody.
    EventFd ITransportRegisters.CallEvent(int queue)
    {
        if (_msix.Enabled) return _msix.Event(Queue[queue].Vector) ?? Core.Silent;
        return _relay?.Event(queue) ?? Core.Silent;
    }

    /// <summary>Resets the device and closes it, and what listens for it.</summary>
    internal void Dispose()
    {
        Core.Dispose();
        _relay?.Dispose();
    }

    /// <summary>What the driver wants to hear of by a vector, for <c>explain</c>.</summary>
    internal string EventsOf(int vector)
    {
        // Without the gate, which a vCPU may hold for as long as the device takes to stop.
        List<string> events = [];
        if (_r.ConfigVector == vector) events.Add("configuration");
        for (int i = 0; i < Queue.Length; i++)
        {
            if (Volatile.Read(ref Queue[i].Vector) == vector) events.Add($"queue {i}");
        }
        return events.Count == 0 ? "nothing" : string.Join(", ", events);
    }

    private void Raise(ushort vector, uint cause)
    {
        if (_msix.Enabled) _msix.Raise(vector);
        else _isr.Raise(cause);
    }

    private bool IsQueue => _r.QueueSelect < Queue.Length;

    private ushort SizeOf(int queue) => Queue[queue].Size is not 0 and ushort size ? size : Core.Device.QueueSizes[queue];

    // 4.1.5.1.2.1: what the device cannot have is read back as none.
    private ushort Vector(ushort wanted) => _msix.TryTake(wanted) ? wanted : (ushort)MsixConst.NoVector;

    private partial uint ReadDeviceFeatures() => Core.OfferedFeatures(_r.DeviceFeatureSelect);

    private partial uint ReadDriverFeatures() => Core.AcceptedFeatures(_r.DriverFeatureSelect);

    private partial void AckFeatures(uint value) => Core.Accept(_r.DriverFeatureSelect, value);

    private partial ushort ReadConfigVector() => Vector(_r.ConfigVector);

    private partial ushort ReadQueueCount() => (ushort)Core.Kicks.Length;

    private partial byte WriteStatus(byte old, byte value) => (byte)Core.WriteStatus((VirtioStatus)old, (VirtioStatus)value);

    private partial byte ReadConfigGeneration() => (byte)Core.Generation;

    // 4.1.5.1.3: before the driver says otherwise, the most that the device takes.
    private partial ushort ReadQueueSize() => IsQueue ? SizeOf(_r.QueueSelect) : (ushort)0;

    private partial ushort ReadQueueVector() => IsQueue ? Vector(Queue[_r.QueueSelect].Vector) : (ushort)MsixConst.NoVector;

    private partial ushort ReadNotifyOffset() => _r.QueueSelect;

    private partial IoStatus WriteConfig(uint offset, int width, ulong value) => Core.WriteConfig(offset, width, value);
}
