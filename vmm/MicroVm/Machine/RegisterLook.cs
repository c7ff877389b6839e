using MicroVm.Kvm;

namespace MicroVm;

/// <summary>Somebody's wish to see a vCPU's control registers, which KVM shows only while the vCPU is out of the guest.</summary>
internal sealed class RegisterLook
{
    private const int PatienceMilliseconds = 1000;

    private readonly Lock _gate = new();
    private KvmAbi.SystemRegisters? _registers;

    /// <summary>Reads them: one system call, on the vCPU's thread or while it has none.</summary>
    internal void Take(KvmVcpu kvm)
    {
        lock (_gate) _registers ??= kvm.SystemRegisters;
    }

    /// <summary>Waits a second for them; null if nobody read them.</summary>
    /// <param name="help">Called while it waits: reads them if nobody else will.</param>
    internal KvmAbi.SystemRegisters? Wait(Action help)
    {
        KvmAbi.SystemRegisters? taken = null;
        _ = SpinWait.SpinUntil(() => { help(); return (taken = Peek()) is not null; }, PatienceMilliseconds);
        return taken;
    }

    private KvmAbi.SystemRegisters? Peek()
    {
        lock (_gate) return _registers;
    }
}
