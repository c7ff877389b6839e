using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Iommu;

/// <summary>An IOMMU for the guest: what a function reaches is what the guest's driver maps for it. On a thread of its own, for the host may take its time to pin memory.</summary>
internal sealed class VirtioIommuDevice : VirtioDevice, IEventHandler
{
    // Faults that wait for a buffer of the guest's; one that faults faster hears of the first only.
    private const int MaxFaults = 64;

    private readonly IommuTable _table;
    private readonly IommuRequests _requests;
    private readonly EventFd _faulted = new();
    private readonly Queue<VirtioIommuFault> _faults = new();
    private EventLoop? _loop;
    private QueueService? _service;
    private Virtqueue? _events;
    private bool _reported;

    internal VirtioIommuDevice(IommuTable table)
        : base("virtio-iommu", VirtioIommu.DeviceId, Offer, VirtioIommu.QueueSizes, new VirtioIommuConfig(table))
    {
        _table = table;
        _requests = new IommuRequests(table, VirtioIommuConfig.ProbeBytes);
    }

    private static ulong Offer => (ulong)(VirtioIommuFeatures.InputRange | VirtioIommuFeatures.MapUnmap | VirtioIommuFeatures.Probe | VirtioIommuFeatures.BypassConfig);

    /// <summary>A function wanted to reach what it may not. From any thread.</summary>
    internal void Report(uint endpoint, ulong address, bool write, bool hasDomain)
    {
        VirtioIommuFaultFlags flags = VirtioIommuFaultFlags.Address | (write ? VirtioIommuFaultFlags.Write : VirtioIommuFaultFlags.Read);
        VirtioIommuReason reason = hasDomain ? VirtioIommuReason.Mapping : VirtioIommuReason.Domain;
        lock (_faults)
        {
            if (_faults.Count == MaxFaults) return;
            _faults.Enqueue(new VirtioIommuFault { Reason = (byte)reason, Flags = (uint)flags, Endpoint = endpoint, Address = address });
        }
        _faulted.Signal();
    }

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        _loop ??= new EventLoop("virtio-iommu", this);
        if (context.Queues[VirtioIommu.EventQueue] is { } events)
        {
            (_events, _reported) = (new Virtqueue(events, context.Memory), false);
            _loop.Add(_faulted.Fd, this);
            _loop.Add(events.Kick.Fd, this);
        }
        if (context.Queues[VirtioIommu.RequestQueue] is not { } requests) return;
        _service = new QueueService(_loop, new Virtqueue(requests, context.Memory), _requests, Transport);
        _service.Start();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _service?.Stop();
        if (_events is { } events)
        {
            _loop!.Remove(_faulted.Fd);
            _loop.Remove(events.Setup.Kick.Fd);
        }
        (_service, _events) = (null, null);
        _table.Reset();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _table.Close();
        base.Dispose();
        _loop?.Dispose();
        _faulted.Dispose();
    }

    public void OnReady(int token)
    {
        if (_events is not { } queue) return;
        _ = _faulted.Drain();
        _ = queue.Setup.Kick.Drain();
        if (_reported) return;
        while (Next() is { } fault && queue.TryPop(out Chain chain))
        {
            queue.Push(chain.Head, chain.Writable.Fill(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioIommuFault>(in fault))));
            lock (_faults) _ = _faults.TryDequeue(out _);
        }
        _ = queue.EnableKicks();
        if (queue.TakeSignal()) Transport.Signal(VirtioIommu.EventQueue);
        if (queue.Fault == QueueFault.None) return;
        _reported = true;
        Transport.QueueBroken(VirtioIommu.EventQueue, queue.Fault);
    }

    private VirtioIommuFault? Next()
    {
        lock (_faults) return _faults.TryPeek(out VirtioIommuFault fault) ? fault : null;
    }
}
