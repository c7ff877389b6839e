using MicroVm.Kvm;

namespace MicroVm.Memory;

/// <summary>Consecutive resident pages, so that one read-only memory slot serves many devices.</summary>
internal sealed unsafe class ResidentArea : IDisposable
{
    private readonly int _pages;
    private byte* _base;

    /// <param name="pages">Pages of 4 KiB, all zero.</param>
    /// <exception cref="MicroVmException">No memory.</exception>
    internal ResidentArea(int pages)
    {
        _pages = pages;
        _base = (byte*)Libc.mmap(null, (nuint)Length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (_base == Libc.MapFailed) throw MicroVmException.Host(
            "cannot map device registers", Libc.Describe(Libc.Errno), HostProcess.MoreMemory("Free some memory"));
    }

    /// <summary>Bytes.</summary>
    internal ulong Length => (ulong)_pages * GuestMemory.PageSize;

    /// <summary>Where the slot's memory is in this process.</summary>
    internal nint HostAddress => (nint)_base;

    /// <summary>Page <paramref name="index"/>; it must not be used after this area is disposed.</summary>
    internal ResidentPage Page(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_pages, nameof(index));
        return new ResidentPage(_base + (nuint)index * (nuint)GuestMemory.PageSize, (int)GuestMemory.PageSize);
    }

    public void Dispose()
    {
        if (_base == null) return;
        _ = Libc.munmap(_base, (nuint)Length);
        _base = null;
    }
}
