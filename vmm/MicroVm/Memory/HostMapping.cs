using MicroVm.Kvm;

namespace MicroVm.Memory;

/// <summary>Memory of this process outside the collector's heap, given back at once: for unpacking a kernel.</summary>
/// <remarks>Zero at first; a page exists when it is first written, and huge pages are asked for where they pay.</remarks>
internal sealed unsafe class HostMapping : IDisposable
{
    private const ulong HugePage = 1 << 21;

    private readonly nuint _mapped;
    private byte* _base;

    private HostMapping(byte* address, nuint mapped, ulong length)
    {
        _base = address;
        _mapped = mapped;
        Range = new HostRange(address, length);
    }

    /// <summary>All of it. Not to be used after <see cref="Dispose"/>.</summary>
    internal HostRange Range { get; private set; }

    /// <summary>Reserves memory.</summary>
    /// <param name="length">Bytes.</param>
    /// <exception cref="MicroVmException">The host does not give that much.</exception>
    internal static HostMapping Allocate(ulong length)
    {
        nuint mapped = (nuint)((length + GuestMemory.PageSize - 1) & ~(GuestMemory.PageSize - 1));
        // SAFETY: a fresh mapping that only this object knows.
        byte* at = (byte*)Libc.mmap(null, Math.Max(mapped, (nuint)GuestMemory.PageSize), Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (at == Libc.MapFailed)
            throw MicroVmException.Host("cannot reserve memory for unpacking",
                $"{length >> 20} MiB: {Libc.Describe(Libc.Errno)}", HostProcess.MoreMemory("Free memory of the host"));
        if (length >= HugePage) _ = Libc.madvise(at, mapped, Libc.MADV_HUGEPAGE);
        return new HostMapping(at, Math.Max(mapped, (nuint)GuestMemory.PageSize), length);
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        if (_base == null) return;
        _ = Libc.munmap(_base, _mapped);
        _base = null;
        Range = default;
    }
}
