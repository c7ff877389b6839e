using MicroVm.Kvm;

namespace MicroVm.Memory;

/// <summary>The file in memory that stands behind guest memory which other processes map too. Its offsets are those in the reservation, so that holes between regions are holes of the file and cost nothing.</summary>
/// <remarks>It can neither shrink nor grow any more: a backend that cuts it would otherwise kill this process by a bus error.</remarks>
internal sealed unsafe class SharedFile : IDisposable
{
    private readonly byte* _reservation;

    private SharedFile(int descriptor, byte* reservation)
    {
        Descriptor = descriptor;
        _reservation = reservation;
    }

    /// <summary>To be sent to those who map it.</summary>
    internal int Descriptor { get; private set; }

    /// <summary>Makes one as long as a reservation; null, with the error number left as it is, if the host refuses.</summary>
    internal static SharedFile? TryMake(byte* reservation, nuint length)
    {
        int fd;
        fixed (byte* name = "microvm-ram\0"u8) fd = Libc.memfd_create(name, Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING);
        if (fd < 0) return null;
        SharedFile file = new(fd, reservation);
        if (Libc.ftruncate(fd, (long)length) == 0 && Libc.fcntl(fd, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_SEAL) == 0) return file;
        file.Dispose();
        return null;
    }

    /// <summary>Puts the file's bytes at their place in the reservation.</summary>
    // SAFETY: the caller gives a part of the reservation, whose pages are replaced.
    internal bool TryMap(byte* at, ulong length) => Libc.mmap(at, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE,
        Libc.MAP_SHARED | Libc.MAP_FIXED | Libc.MAP_NORESERVE, Descriptor, (long)OffsetOf(at)) == at;

    /// <summary>Where an address of the reservation is in the file.</summary>
    internal ulong OffsetOf(byte* address) => (ulong)(address - _reservation);

    public void Dispose()
    {
        if (Descriptor >= 0) _ = Libc.close(Descriptor);
        Descriptor = -1;
    }
}
