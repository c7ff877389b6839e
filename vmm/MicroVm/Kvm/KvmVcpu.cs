namespace MicroVm.Kvm;

/// <summary>One vCPU in KVM and its mapped <c>struct kvm_run</c>.</summary>
internal sealed unsafe class KvmVcpu : IDisposable
{
    private readonly int _fd;
    private readonly int _runSize;
    private byte* _run;

    internal KvmVcpu(int id, int fd, int runSize)
    {
        Id = id;
        _fd = fd;
        _runSize = runSize;
        _run = (byte*)Libc.mmap(null, (nuint)runSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, fd, 0);
        if (_run == Libc.MapFailed) throw KvmVm.Failed("cannot map a vCPU", $"number {id}", "Raise the limit of address space (ulimit -v)");
    }

    internal int Id { get; }

    /// <summary>What the last exit says. A view, nothing is copied.</summary>
    internal KvmRun Exit => new(_run);

    /// <summary>Makes the next, or the current, <see cref="Run"/> return at once; with a signal to its thread it also ends one that is in the guest.</summary>
    /// <remarks>A full barrier: the caller then looks whether there is a thread to signal, and must not have looked before the flag can be seen.</remarks>
    internal void RequestExit()
    {
        _run[KvmRun.ImmediateExitOffset] = 1;
        Interlocked.MemoryBarrier();
    }

    /// <summary>Takes <see cref="RequestExit"/> back.</summary>
    /// <remarks>A full barrier: the caller then looks whether the machine has ended, and a request that came meanwhile must not be overwritten after that.</remarks>
    internal void WithdrawExit()
    {
        _run[KvmRun.ImmediateExitOffset] = 0;
        Interlocked.MemoryBarrier();
    }

    /// <summary>Where a signal handler may write 1 instead of calling <see cref="RequestExit"/>.</summary>
    internal byte* ImmediateExit => _run + KvmRun.ImmediateExitOffset;

    /// <summary>Runs the guest until something needs this process.</summary>
    /// <returns>0, or the error number: <see cref="Libc.EINTR"/> after a signal or <see cref="RequestExit"/>.</returns>
    internal int Run() => Libc.ioctl(_fd, KvmAbi.Run, 0) == 0 ? 0 : Libc.Errno;

    /// <summary>Lets it wait for its start-up message, as after power-on. Not while it runs.</summary>
    internal void AwaitStartUp()
    {
        uint state = KvmAbi.MpStateUninitialized;
        Check(Libc.ioctl(_fd, KvmAbi.SetMpState, &state), "KVM_SET_MP_STATE");
    }

    /// <summary>Tells the guest that it stood still, so that its watchdogs do not take the pause for a hang. Not while it runs.</summary>
    /// <remarks>KVM_KVMCLOCK_CTRL; KVM refuses it where the guest does not use kvmclock; such a guest cannot be told.</remarks>
    internal void ReportPause() => _ = Libc.ioctl(_fd, KvmAbi.KvmClockControl, 0);

    /// <summary>Makes KVM find it by its APIC id: a vCPU that is made while others run. Not while it runs.</summary>
    /// <remarks>
    /// KVM builds its map from APIC ids before a new vCPU is in its list, and builds it anew only when some local APIC
    /// changes. Until then the start-up message of the guest reaches nothing. To write the registers as they are is such
    /// a change.
    /// </remarks>
    internal void PublishApicId()
    {
        byte* registers = stackalloc byte[KvmAbi.LapicSize];
        Check(Libc.ioctl(_fd, KvmAbi.GetLapic, registers), "KVM_GET_LAPIC");
        Check(Libc.ioctl(_fd, KvmAbi.SetLapic, registers), "KVM_SET_LAPIC");
    }

    internal void SetCpuid(ReadOnlySpan<KvmAbi.CpuidEntry> entries)
    {
        Span<byte> buffer = stackalloc byte[8 + entries.Length * sizeof(KvmAbi.CpuidEntry)];
        fixed (byte* p = buffer)
        {
            // SAFETY: struct kvm_cpuid2 is a count, padding and as many entries as the count says.
            *(ulong*)p = (uint)entries.Length;
            entries.CopyTo(new Span<KvmAbi.CpuidEntry>(p + 8, entries.Length));
            Check(Libc.ioctl(_fd, KvmAbi.SetCpuid2, p), "KVM_SET_CPUID2");
        }
    }

    internal void SetMsrs(ReadOnlySpan<KvmAbi.MsrEntry> entries)
    {
        Span<byte> buffer = stackalloc byte[8 + entries.Length * sizeof(KvmAbi.MsrEntry)];
        fixed (byte* p = buffer)
        {
            // SAFETY: struct kvm_msrs is a count, padding and as many entries as the count says.
            *(ulong*)p = (uint)entries.Length;
            entries.CopyTo(new Span<KvmAbi.MsrEntry>(p + 8, entries.Length));
            Check(Libc.ioctl(_fd, KvmAbi.SetMsrs, p), "KVM_SET_MSRS");
        }
    }

    internal KvmAbi.Registers Registers
    {
        get
        {
            KvmAbi.Registers r;
            Check(Libc.ioctl(_fd, KvmAbi.GetRegs, &r), "KVM_GET_REGS");
            return r;
        }
        set => Check(Libc.ioctl(_fd, KvmAbi.SetRegs, &value), "KVM_SET_REGS");
    }

    internal KvmAbi.SystemRegisters SystemRegisters
    {
        get
        {
            KvmAbi.SystemRegisters r;
            Check(Libc.ioctl(_fd, KvmAbi.GetSregs, &r), "KVM_GET_SREGS");
            return r;
        }
        set => Check(Libc.ioctl(_fd, KvmAbi.SetSregs, &value), "KVM_SET_SREGS");
    }

    /// <summary>Walks the guest's page tables; false if the address is not mapped.</summary>
    internal bool TryTranslate(ulong linear, out ulong physical)
    {
        KvmAbi.Translation t = new() { LinearAddress = linear };
        bool ok = Libc.ioctl(_fd, KvmAbi.Translate, &t) == 0 && t.Valid != 0;
        physical = t.PhysicalAddress;
        return ok;
    }

    private void Check(int result, string call)
    {
        if (result < 0) throw KvmVm.Failed("cannot set up a vCPU", $"number {Id}: {call}", "Run 'microvm doctor'");
    }

    public void Dispose()
    {
        if (_run == null) return;
        _ = Libc.munmap(_run, (nuint)_runSize);
        _run = null;
        _ = Libc.close(_fd);
    }
}
