using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Transport;

/// <summary>What both transports do: features, status, the way from reset to activation and back, the device's configuration space, and what comes from the device.</summary>
/// <remarks>Methods that a register hook calls run under the block's gate. This file: features and configuration; beside it status and events.</remarks>
internal sealed partial class TransportCore : IVirtioTransport, IDisposable
{
    private const int LookMilliseconds = 100;

    private readonly ITransportRegisters _registers;
    private readonly int _slot;
    private readonly VirtioDevice _device;
    private readonly GuestMemory _memory;
    private readonly GuestErrors _errors;
    private readonly EventFd[] _kicks;
    private EventFd? _silent;
    private ulong _accepted;
    // Its pages may be unmapped: what the host still says of the device changes nothing.
    private bool _gone;

    /// <param name="registers">The block with the status register.</param>
    /// <param name="slot">Number of the transport, for messages.</param>
    /// <param name="device">What it carries; owned from now on.</param>
    /// <param name="memory">Where its queues and buffers lie.</param>
    /// <param name="errors">Where the guest's mistakes are counted.</param>
    internal TransportCore(ITransportRegisters registers, int slot, VirtioDevice device, GuestMemory memory, GuestErrors errors)
    {
        (_registers, _slot, _device, _memory, _errors) = (registers, slot, device, memory, errors);
        _kicks = EventFd.Several(device.QueueSizes.Length);
    }

    internal VirtioDevice Device => _device;

    /// <summary>The IOMMU's view of memory where the device is behind one; set when it is made.</summary>
    internal IDeviceMemory? Behind { get; init; }

    private ulong Offered => _device.Features | (Behind is null ? 0 : (ulong)VirtioFeatures.AccessPlatform);

    /// <summary>The device's status and what the driver wrote for each queue, null for one that it did not set up: one moment's, for <c>explain</c>.</summary>
    /// <returns>False if the device is busy: a vCPU is in its registers, and waits for the host to end a
    /// request.</returns>
    internal bool TryLook(out VirtioStatus status, out QueueRequest?[] queues)
    {
        (status, queues) = (0, new QueueRequest?[_kicks.Length]);
        if (!_registers.Gate.TryEnter(LookMilliseconds)) return false;
        try
        {
            for (int i = 0; i < queues.Length; i++) queues[i] = _registers.Ready(i);
            status = _registers.Status;
            return true;
        }
        finally
        {
            _registers.Gate.Exit();
        }
    }

    /// <summary>Features that the driver accepted so far.</summary>
    internal ulong Accepted => _accepted;

    /// <summary>Changes whenever the configuration does.</summary>
    internal uint Generation { get; private set; }

    /// <summary>The doorbell of each queue.</summary>
    internal ReadOnlySpan<EventFd> Kicks => _kicks;

    /// <summary>Signals to nobody.</summary>
    internal EventFd Silent => _silent ??= new EventFd();

    /// <summary>Shows the configuration and takes what the device says from now on. To be called once, when the registers can be read.</summary>
    internal void Start()
    {
        CopyConfig();
        _registers.Publish();
        _device.Attach(this);
    }

    /// <summary>Resets the device and closes it. No vCPU runs any more, or none reaches the registers.</summary>
    public void Dispose()
    {
        lock (_registers.Gate)
        {
            ResetDevice();
            _gone = true;
        }
        _device.Dispose();
        foreach (EventFd kick in _kicks) kick.Dispose();
        _silent?.Dispose();
    }

    /// <summary>The offered features that a selector chooses.</summary>
    internal uint OfferedFeatures(uint selector) => selector <= 1 ? (uint)(Offered >> (int)(32 * selector)) : 0;

    /// <summary>The accepted features that a selector chooses.</summary>
    internal uint AcceptedFeatures(uint selector) => selector <= 1 ? (uint)(_accepted >> (int)(32 * selector)) : 0;

    /// <summary>The driver accepts the 32 features that a selector chooses.</summary>
    internal void Accept(uint selector, uint value)
    {
        if (selector > 1)
        {
            if (value != 0) _errors.Report(_device.Name, _slot, "accepts features that do not exist", "selector", selector);
            return;
        }
        int shift = (int)(32 * selector);
        _accepted = (_accepted & ~((ulong)uint.MaxValue << shift)) | ((ulong)value << shift);
    }

    /// <summary>The driver rang a doorbell that no ioeventfd heard.</summary>
    internal void Notify(uint queue)
    {
        if (queue < (uint)_kicks.Length) _kicks[queue].Signal();
        else _errors.Report(_device.Name, _slot, "notifies a queue that does not exist", "queue", queue);
    }

    /// <summary>The driver writes the device's configuration space.</summary>
    internal IoStatus WriteConfig(uint offset, int width, ulong value)
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
        ResidentPage page = _registers.ConfigPage;
        uint size = config.Info.Size;
        for (uint at = 0; at < size;)
        {
            int width = size - at >= 8 ? 8 : size - at >= 4 ? 4 : size - at >= 2 ? 2 : 1;
            _ = config.Read(at, width, out ulong value);
            if (width == 8) page.Store(at, value);
            else if (width == 4) page.Store(at, (uint)value);
            else if (width == 2) page.Store(at, (ushort)value);
            else page.Store(at, (byte)value);
            at += (uint)width;
        }
    }
}
