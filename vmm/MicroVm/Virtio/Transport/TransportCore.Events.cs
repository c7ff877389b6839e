using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Transport;

/// <summary>What comes from the device and from the host, on any thread.</summary>
internal sealed partial class TransportCore
{
    private const uint PendingConfig = 1, PendingBroken = 2, PendingRefresh = 4;

    private uint _pending;
    // 1 while a vCPU, under the gate, may wait for the device's threads; they must then not wait for the gate.
    private int _transition;
    private bool _announceConfig;

    /// <inheritdoc/>
    public void Signal(int queue) => _registers.RaiseQueue(queue);

    /// <inheritdoc/>
    public void SignalBoth(int queue, int other)
    {
        _registers.RaiseQueue(queue);
        if (!_registers.ShareInterrupt(queue, other)) _registers.RaiseQueue(other);
    }

    /// <inheritdoc/>
    public EventFd CallEvent(int queue) => _registers.CallEvent(queue);

    /// <inheritdoc/>
    public void ConfigChanged() => Post(PendingConfig);

    /// <inheritdoc/>
    public void ConfigRefreshed() => Post(PendingRefresh);

    /// <inheritdoc/>
    public void QueueBroken(int queue, QueueFault fault)
    {
        _errors.Report(_device.Name, _slot, QueueFaultText.Of(fault), "queue", (uint)queue);
        Post(PendingBroken);
    }

    /// <inheritdoc/>
    public void GuestError(string what, string place, ulong number) => _errors.Report(_device.Name, _slot, what, place, number);

    /// <inheritdoc/>
    public void HostRefused(string what) => _errors.Host?.Say($"{_device.Name}[{_slot}] {what}");

    // Applies it under the gate, or leaves it to the vCPU that is in a transition. Either this thread sees the transition's end,
    // or the vCPU sees the bit: both sides write, fence and read in opposite order.
    private void Post(uint what)
    {
        Interlocked.Or(ref _pending, what);
        SpinWait spin = default;
        while (Volatile.Read(ref _transition) == 0)
        {
            if (_registers.Gate.TryEnter())
            {
                try
                {
                    if (_transition == 0 && !_gone) ApplyPending();
                }
                finally
                {
                    _registers.Gate.Exit();
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
        if ((pending & (PendingConfig | PendingRefresh)) != 0) RefreshConfig();
        if ((pending & PendingBroken) != 0) _registers.Status |= VirtioStatus.NeedsReset;
        _announceConfig |= (pending & ~PendingRefresh) != 0;
        _registers.Publish();
        // A driver that reads the configuration before it is ready hears of a change as soon as it is.
        if (!_announceConfig || (_registers.Status & VirtioStatus.DriverOk) == 0) return;
        _announceConfig = false;
        _registers.RaiseConfig();
    }

    // The generation moves on both sides of the change; what a reader in between can see is in docs/decisions/0020.
    private void RefreshConfig()
    {
        Generation++;
        _registers.Publish();
        CopyConfig();
        Generation++;
        _registers.Publish();
    }
}
