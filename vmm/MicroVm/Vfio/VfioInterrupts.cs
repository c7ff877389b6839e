using System.Numerics;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Pci;

namespace MicroVm.Vfio;

/// <summary>How an assigned device interrupts: one of INTx, MSI and MSI-X at a time. VFIO signals the very event that KVM's irqfd listens to, so nothing here runs when an MSI or MSI-X message comes.</summary>
/// <remarks>Host vectors are taken when the guest first unmasks one (docs/decisions/0045). Calls come from vCPUs; the lock is held for the time of a system call and nothing is taken inside it.</remarks>
internal sealed class VfioInterrupts(IVfioDevice device, string name, EventFd? line, GuestErrors errors) : IMsixObserver
{
    private readonly Lock _lock = new();
    private VfioAbi.IrqIndex? _mode;
    private EventFd?[] _vectors = [];
    private int _allocated;

    /// <summary>What is connected now, for <c>explain</c>.</summary>
    internal VfioAbi.IrqIndex? Mode
    {
        get { lock (_lock) return _mode; }
    }

    /// <summary>Interrupts by the line, if the device has one and the machine too.</summary>
    internal void UseLine()
    {
        lock (_lock) ConnectLine();
    }

    /// <summary>No interrupts at all.</summary>
    internal void Stop()
    {
        lock (_lock) Leave();
    }

    /// <summary>The guest ended an interrupt on the shared line: VFIO masked it when it fired.</summary>
    internal void EndOfInterrupt()
    {
        lock (_lock)
        {
            if (_mode == VfioAbi.IrqIndex.Intx) Check(device.Unmask(VfioAbi.IrqIndex.Intx), "cannot unmask its line");
        }
    }

    /// <summary>MSI was switched on or off.</summary>
    internal void SwitchMsi(bool on, EventFd signal)
    {
        lock (_lock)
        {
            if (on == (_mode == VfioAbi.IrqIndex.Msi)) return;
            if (on) Enter(VfioAbi.IrqIndex.Msi, [signal.Fd]);
            else ConnectLine();
        }
    }

    // Devices look whether MSI-X is on when their driver sets them up, which may be long before it unmasks the first vector: so it is on, with one vector that leads nowhere yet.
    void IMsixObserver.Enabled()
    {
        lock (_lock)
        {
            Enter(VfioAbi.IrqIndex.Msix, [-1]);
            if (_mode == VfioAbi.IrqIndex.Msix) _allocated = 1;
        }
    }

    void IMsixObserver.VectorUsed(int vector, EventFd signal)
    {
        lock (_lock)
        {
            if (_mode != VfioAbi.IrqIndex.Msix) Leave();
            uint count = device.InterruptCount(VfioAbi.IrqIndex.Msix, out bool fixedSize);
            if (_vectors.Length < count) Array.Resize(ref _vectors, (int)count);
            if (vector >= _vectors.Length) return;
            _vectors[vector] = signal;
            if (_allocated > vector || (_allocated > 0 && !fixedSize)) Check(device.Connect(VfioAbi.IrqIndex.Msix, (uint)vector, [signal.Fd]), "cannot take a host vector");
            else Grow(vector);
        }
    }

    void IMsixObserver.VectorRefused(int vector, string why) =>
        errors.Host?.Say($"assigned device {name} has no interrupt for vector {vector}: {why}");

    void IMsixObserver.Disabled()
    {
        lock (_lock)
        {
            if (_mode == VfioAbi.IrqIndex.Msix) ConnectLine();
        }
    }

    // This kernel takes all vectors of a device at once: more of them means none for a moment. By doubling that happens seldom.
    private void Grow(int vector)
    {
        bool again = _allocated > 0;
        if (again) _ = device.Disconnect(VfioAbi.IrqIndex.Msix);
        int count = (int)Math.Min(BitOperations.RoundUpToPowerOf2((uint)vector + 1), (uint)_vectors.Length);
        int error = ConnectVectors(count);
        if (error != 0 && count > vector + 1) error = ConnectVectors(count = vector + 1);
        Check(error, "cannot take host vectors");
        // The host has no more: those that there were go on.
        if (error != 0 && again && (error = ConnectVectors(count = _allocated)) == 0) _vectors[vector] = null;
        _allocated = error == 0 ? count : 0;
        _mode = error == 0 ? VfioAbi.IrqIndex.Msix : null;
        if (!again) return;
        // A message of that moment is lost. A driver bears an interrupt too many, but not one too few.
        for (int i = 0; i < count; i++)
        {
            if (i != vector) _vectors[i]?.Signal();
        }
    }

    private int ConnectVectors(int count)
    {
        int[] events = new int[count];
        for (int i = 0; i < count; i++) events[i] = _vectors[i]?.Fd ?? -1;
        return device.Connect(VfioAbi.IrqIndex.Msix, 0, events);
    }

    private void ConnectLine()
    {
        if (line is null || device.InterruptCount(VfioAbi.IrqIndex.Intx, out _) == 0) Leave();
        else Enter(VfioAbi.IrqIndex.Intx, [line.Fd]);
    }

    private void Enter(VfioAbi.IrqIndex mode, ReadOnlySpan<int> events)
    {
        Leave();
        int error = device.Connect(mode, 0, events);
        Check(error, "cannot connect its interrupt");
        if (error == 0) _mode = mode;
    }

    private void Leave()
    {
        if (_mode is { } mode) _ = device.Disconnect(mode);
        _mode = null;
        _allocated = 0;
        Array.Clear(_vectors);
    }

    private void Check(int error, string what)
    {
        if (error != 0) errors.Host?.Say($"assigned device {name}: VFIO {what}: {Libc.Describe(error)}");
    }
}
