namespace MicroVm.Kvm;

/// <summary><c>/dev/kvm</c>: what this host's KVM can do, and new virtual machines.</summary>
internal sealed class KvmSystem : IDisposable
{
    internal const string DevicePath = "/dev/kvm";

    private readonly int _fd;

    private KvmSystem(int fd) => _fd = fd;

    /// <summary>Opens KVM. Nothing is probed: an operation that this KVM lacks fails where it is used.</summary>
    /// <exception cref="MicroVmException">There is no KVM, or no right to use it.</exception>
    internal static KvmSystem Open()
    {
        int fd = Libc.Open(DevicePath, Libc.O_RDWR);
        if (fd >= 0) return new KvmSystem(fd);
        int errno = Libc.Errno;
        string remedy = errno switch
        {
            Libc.ENOENT => "Load kvm_intel or kvm_amd, or turn on virtualisation in the firmware; 'microvm doctor' says more",
            Libc.EACCES or Libc.EPERM => "Join the group kvm (usermod -aG kvm $USER) or run as root",
            _ => "Run 'microvm doctor'",
        };
        throw MicroVmException.Refused(FailureKind.Host, "cannot use KVM", DevicePath, errno, remedy);
    }

    /// <summary>Value of a capability, 0 if KVM does not have it.</summary>
    internal int Capability(int cap) => Libc.ioctl(_fd, KvmAbi.CheckExtension, cap);

    internal int ApiVersion => Libc.ioctl(_fd, KvmAbi.GetApiVersion, 0);

    /// <summary>Makes a virtual machine without memory or vCPUs.</summary>
    internal KvmVm CreateVm()
    {
        int vm;
        do vm = Libc.ioctl(_fd, KvmAbi.CreateVm, 0);
        while (vm < 0 && Libc.Errno == Libc.EINTR);
        if (vm < 0) throw KvmVm.Failed("cannot make a virtual machine", "KVM_CREATE_VM", "Run 'microvm doctor'");
        return new KvmVm(vm, RunSize());
    }

    /// <summary>Fills <paramref name="entries"/> with the CPUID leaves that KVM can give a guest and returns how many there are.</summary>
    internal unsafe int SupportedCpuid(Span<KvmAbi.CpuidEntry> entries)
    {
        Span<byte> buffer = stackalloc byte[8 + CpuidTable.MaxEntries * sizeof(KvmAbi.CpuidEntry)];
        fixed (byte* p = buffer)
        {
            // SAFETY: struct kvm_cpuid2 is a count, padding and as many entries as the count says; KVM stays inside the count.
            *(uint*)p = CpuidTable.MaxEntries;
            if (Libc.ioctl(_fd, KvmAbi.GetSupportedCpuid, p) < 0) throw KvmVm.Failed("cannot read the CPU's features", "KVM_GET_SUPPORTED_CPUID", "Run 'microvm doctor'");
            int count = (int)*(uint*)p;
            new ReadOnlySpan<KvmAbi.CpuidEntry>(p + 8, count).CopyTo(entries);
            return count;
        }
    }

    private int RunSize()
    {
        int size = Libc.ioctl(_fd, KvmAbi.GetVcpuMmapSize, 0);
        if (size <= 0) throw KvmVm.Failed("cannot use KVM", "KVM_GET_VCPU_MMAP_SIZE", "Run 'microvm doctor'");
        return size;
    }

    public void Dispose() => _ = Libc.close(_fd);
}
