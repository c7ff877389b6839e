using MicroVm.Bus;
using MicroVm.Virtio.Transport;

namespace MicroVm.Devices;

/// <summary>Doorbells for a KVM without ioeventfds, and for writes that none of them matches.</summary>
public sealed partial class VirtioPciNotify
{
    private readonly TransportCore _core;

    internal VirtioPciNotify(TransportCore core)
    {
        _core = core;
        Initialize();
    }

    private partial IoStatus ReadDoorbell(uint offset, int width, out ulong value)
    {
        value = 0;
        return IoStatus.WriteOnly;
    }

    private partial IoStatus WriteDoorbell(uint offset, int width, ulong value)
    {
        _core.Notify(offset / VirtioPciConst.NotifyMultiplier);
        return IoStatus.Ok;
    }
}

/// <summary>Interrupt status: why the INTx line was raised. With MSI-X nobody sets it.</summary>
public sealed partial class VirtioPciIsr : IRegisterBlock
{
    internal VirtioPciIsr() => Initialize();

    /// <summary>Told when a cause came where none was, and when the causes were taken; from any thread.</summary>
    internal Action? Changed { private get; set; }

    /// <summary>Sets a cause, from any thread.</summary>
    internal void Raise(uint cause)
    {
        if (RaiseIsr(cause) == 0) Changed?.Invoke();
    }

    /// <summary>Forgets the causes: the device was reset.</summary>
    internal void Clear()
    {
        ClearIsr(uint.MaxValue);
        Changed?.Invoke();
    }

    /// <summary>The causes, without taking them.</summary>
    internal uint Peek => Volatile.Read(ref _r.Isr);

    // The guest's read takes the causes, and the pin goes down with them.
    IoStatus IRegisterBlock.Read(uint offset, int width, out ulong value)
    {
        IoStatus status = Read(offset, width, out value);
        if (value != 0) Changed?.Invoke();
        return status;
    }
}
