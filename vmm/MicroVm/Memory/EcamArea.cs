using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Pci;

namespace MicroVm.Memory;

/// <summary>The configuration space of all functions of some buses as one read-only memory slot: the guest enumerates without an exit.</summary>
/// <remarks>A function that is there has a page of its own. All others read ones: they are views of one small file in memory, so that absent functions cost
/// <see cref="Ones"/> bytes however many there are, and eight mappings a bus. Figures: docs/decisions/0040.</remarks>
internal sealed unsafe class EcamArea : IDisposable
{
    /// <summary>Bytes that are all ones: a bus is mapped in pieces of this size.</summary>
    internal const int Ones = 128 << 10;

    private readonly int _ones;
    private byte* _base;

    /// <param name="buses">Buses, from bus 0.</param>
    /// <exception cref="MicroVmException">The host refused the memory.</exception>
    internal EcamArea(int buses)
    {
        Length = (ulong)buses * (ulong)PciConst.BusSize;
        fixed (byte* name = "microvm-ecam\0"u8) _ones = Libc.memfd_create(name, Libc.MFD_CLOEXEC);
        if (_ones < 0 || Libc.ftruncate(_ones, Ones) != 0) throw Refused();
        // SAFETY: a fresh reservation, replaced piece by piece below and never outgrown.
        _base = (byte*)Libc.mmap(null, (nuint)Length, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (_base == Libc.MapFailed) throw Refused();
        for (ulong at = 0; at < Length; at += Ones) MapOnes(at, Ones, Libc.PROT_READ | (at == 0 ? Libc.PROT_WRITE : 0));
        new Span<byte>(_base, Ones).Fill(0xff);
        if (Libc.mprotect(_base, Ones, Libc.PROT_READ) != 0) throw Refused();
    }

    /// <summary>Bytes.</summary>
    internal ulong Length { get; }

    /// <summary>Where the slot's memory is in this process.</summary>
    internal nint HostAddress => (nint)_base;

    /// <summary>Gives a function a page of zeros. The guest that reads it meanwhile sees ones, then the page. Not to be used after <see cref="Remove"/> or <see cref="Dispose"/>.</summary>
    internal ResidentPage Add(PciAddress function)
    {
        byte* at = At(function);
        void* page = Libc.mmap(at, PciConst.FunctionSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_FIXED, -1, 0);
        if (page != at) throw Refused();
        return new ResidentPage(at, PciConst.FunctionSize);
    }

    /// <summary>Makes a function absent again.</summary>
    internal void Remove(PciAddress function) => MapOnes(function.EcamOffset, PciConst.FunctionSize, Libc.PROT_READ);

    private void MapOnes(ulong offset, ulong length, int protection)
    {
        byte* at = _base + offset;
        // SAFETY: inside the reservation; `offset` and `length` are pages of it.
        if (Libc.mmap(at, (nuint)length, protection, Libc.MAP_SHARED | Libc.MAP_FIXED, _ones, 0) != at) throw Refused();
    }

    private byte* At(PciAddress function)
    {
        if (function.EcamOffset >= Length) throw new ArgumentOutOfRangeException(nameof(function), $"{function} is on a bus without configuration space");
        return _base + function.EcamOffset;
    }

    private static MicroVmException Refused() =>
        MicroVmException.Refused(FailureKind.Host, "cannot map PCI configuration space", "a file in memory", Libc.Errno,
            HostProcess.MoreMemory("Free some memory, or raise vm.max_map_count"));

    public void Dispose()
    {
        if (_base == null) return;
        _ = Libc.munmap(_base, (nuint)Length);
        _ = Libc.close(_ones);
        _base = null;
    }
}
