using MicroVm.Events;
using MicroVm.Virtio;
using MicroVm.Virtio.Queue;

namespace MicroVm.Devices;

/// <summary>What comes from the device and from the host, on any thread. See docs/decisions/0020-virtio-mmio-interrupts-without-exits.md.</summary>
public sealed partial class VirtioMmio
{
    private const uint PendingConfig = 1, PendingBroken = 2;

    private uint _pending;
    // 1 while a vCPU, under the gate, may wait for the device's threads; they must then not wait for the gate.
    private int _transition;
    private bool _announceConfig;

    /// <inheritdoc/>
    public void Signal(int queue)
    {
        // The bit stays set until reset, so that its acknowledge needs no exit; it is true before the edge.
        if (!InterruptStatusUsedBuffer) RaiseInterruptStatus(Bits.InterruptStatusUsedBuffer);
        _line.Raise();
    }

    /// <inheritdoc/>
    public EventFd CallEvent(int queue)
    {
        // Nobody is there to set the bit when the time comes; as it would stay set from then on, it may as well be set before (decision 0050).
        RaiseInterruptStatus(Bits.InterruptStatusUsedBuffer);
        return _line.Event;
    }

    /// <inheritdoc/>
    public void ConfigChanged() => Post(PendingConfig);

    /// <inheritdoc/>
    public void QueueBroken(int queue, QueueFault fault)
    {
        _errors.Report(_device.Name, _slot, Name(fault), "queue", (uint)queue);
        Post(PendingBroken);
    }

    // Applies it under the gate, or leaves it to the vCPU that is in a transition. Either this thread sees the transition's end,
    // or the vCPU sees the bit: both sides write, fence and read in opposite order.
    private void Post(uint what)
    {
        Interlocked.Or(ref _pending, what);
        SpinWait spin = default;
        while (Volatile.Read(ref _transition) == 0)
        {
            if (Gate.TryEnter())
            {
                try
                {
                    if (_transition == 0) ApplyPending();
                }
                finally
                {
                    Gate.Exit();
                }
                return;
            }
            // The holder is in one register access.
            spin.SpinOnce();
        }
    }

    private void BeginTransition() => Interlocked.Exchange(ref _transition, 1);

    private void EndTransition() => Interlocked.Exchange(ref _transition, 0);

    private void ApplyPending()
    {
        uint pending = Interlocked.Exchange(ref _pending, 0);
        if ((pending & PendingConfig) != 0) RefreshConfig();
        if ((pending & PendingBroken) != 0) _r.Status |= Bits.StatusNeedsReset;
        _announceConfig |= pending != 0;
        PublishResident();
        // A driver that reads the configuration before it is ready hears of a change as soon as it is.
        if (!_announceConfig || !StatusDriverOk) return;
        _announceConfig = false;
        RaiseInterruptStatus(Bits.InterruptStatusConfigChange);
        _line.Raise();
    }

    // The generation moves on both sides of the change; what a reader in between can see is in the decision named above.
    private void RefreshConfig()
    {
        _generation++;
        PublishResident();
        CopyConfig();
        _generation++;
        PublishResident();
    }

    private static string Name(QueueFault fault) => fault switch
    {
        QueueFault.BadSize => "queue size is not a power of two within the limit",
        QueueFault.NoAddress => "ring without an address",
        QueueFault.Misaligned => "ring is misaligned",
        QueueFault.RingOutsideRam => "ring lies outside RAM",
        QueueFault.RingsOverlap => "rings overlap",
        QueueFault.IndexJump => "available index jumped",
        QueueFault.NoSuchHead => "available ring names no descriptor",
        QueueFault.DuplicateHead => "chain made available twice",
        QueueFault.NoSuchDescriptor => "chain leaves its table",
        QueueFault.ChainTooLong => "chain is too long or loops",
        QueueFault.ChainTooLarge => "chain has too many bytes",
        QueueFault.BufferOutsideRam => "buffer lies outside RAM",
        QueueFault.WrongOrder => "readable buffer after a writable one",
        QueueFault.IndirectNotAllowed => "indirect descriptor where none may be",
        QueueFault.BadIndirectTable => "indirect table is not one",
        QueueFault.NoRoomForAnswer => "chain without room for the answer",
        QueueFault.Backend => "the kernel's backend found a queue broken",
        _ => "queue is broken",
    };
}
