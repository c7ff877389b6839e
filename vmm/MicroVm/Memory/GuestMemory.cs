using System.Runtime.CompilerServices;
using MicroVm.Kvm;

namespace MicroVm.Memory;

/// <summary>One run of guest physical memory and where this process has it.</summary>
/// <param name="GuestAddress">First guest physical address, page aligned.</param>
/// <param name="Length">Bytes, page aligned.</param>
/// <param name="HostAddress">Where it is mapped in this process.</param>
public readonly record struct MemoryRegion(ulong GuestAddress, ulong Length, nint HostAddress);

/// <summary>The guest's RAM: one region below the MMIO hole and, if it does not fit there, one above 4 GiB. Between and around them lie inaccessible guard pages.</summary>
/// <remarks>Pages come from the host when they are first touched, huge ones where it has them (docs/decisions/0014). No method trusts a guest address: each range is checked against one region, so nothing spans the hole.</remarks>
public sealed unsafe class GuestMemory : IDisposable
{
    /// <summary>Bytes of a page.</summary>
    public const ulong PageSize = 4096;
    private const ulong HugePage = 1 << 21, GuardSize = HugePage;

    private readonly MemoryRegion[] _regions;
    private readonly nuint _reserved;
    private byte* _reservation;

    private GuestMemory(byte* reservation, nuint reserved, MemoryRegion[] regions)
    {
        _reservation = reservation;
        _reserved = reserved;
        _regions = regions;
    }

    /// <summary>The regions in the order of their addresses; one or two.</summary>
    public ReadOnlySpan<MemoryRegion> Regions => _regions;

    /// <summary>Bytes of RAM in all.</summary>
    public ulong Size { get; private init; }

    /// <summary>Reserves <paramref name="size"/> bytes of guest memory.</summary>
    /// <param name="size">Bytes, rounded up to a page.</param>
    /// <param name="lowLimit">End of the memory below the hole.</param>
    /// <param name="highStart">Where the rest goes.</param>
    /// <exception cref="MicroVmException">The host does not give that much address space.</exception>
    public static GuestMemory Allocate(ulong size, ulong lowLimit, ulong highStart)
    {
        size = (size + PageSize - 1) & ~(PageSize - 1);
        ulong low = Math.Min(size, lowLimit), high = size - low;
        nuint reserved = (nuint)(low + high + 3 * GuardSize);
        // SAFETY: a fresh reservation; the two regions are opened inside it and never outlive it.
        byte* start = (byte*)Libc.mmap(null, reserved, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (start == Libc.MapFailed) throw TooMuch(size);
        // 2 MiB alignment lets the host back both regions with huge pages.
        byte* lowHost = (byte*)(((nuint)start + (nuint)GuardSize) & ~(nuint)(GuardSize - 1));
        byte* highHost = lowHost + ((low + GuardSize + GuardSize - 1) & ~(GuardSize - 1));
        if (!Open(lowHost, low) || !Open(highHost, high))
        {
            _ = Libc.munmap(start, reserved);
            throw TooMuch(size);
        }
        // Not the first 2 MiB: a tiny guest touches a few pages of them, and clearing a huge page would be most of its start.
        if (low > HugePage) _ = Libc.madvise(lowHost + HugePage, (nuint)(low - HugePage), Libc.MADV_HUGEPAGE);
        if (high > 0) _ = Libc.madvise(highHost, (nuint)high, Libc.MADV_HUGEPAGE);
        MemoryRegion first = new(0, low, (nint)lowHost);
        return new GuestMemory(start, reserved, high == 0 ? [first] : [first, new(highStart, high, (nint)highHost)]) { Size = size };
    }

    /// <summary>Translates a guest range that lies in one region; false if any byte of it does not.</summary>
    public bool TryRange(ulong address, ulong length, out HostRange range)
    {
        foreach (ref readonly MemoryRegion region in _regions.AsSpan())
        {
            ulong offset = address - region.GuestAddress;
            if (offset < region.Length && length <= region.Length - offset)
            {
                range = new HostRange((byte*)region.HostAddress + offset, length);
                return true;
            }
        }
        range = default;
        return false;
    }

    /// <summary>Copies a value out of guest memory; false if it does not lie in RAM.</summary>
    public bool TryRead<T>(ulong address, out T value) where T : unmanaged
    {
        bool ok = TryRange(address, (ulong)sizeof(T), out HostRange range);
        value = ok ? range.Load<T>(0) : default;
        return ok;
    }

    /// <summary>Copies a value into guest memory; false if it does not lie in RAM.</summary>
    public bool TryWrite<T>(ulong address, in T value) where T : unmanaged
    {
        bool ok = TryRange(address, (ulong)sizeof(T), out HostRange range);
        if (ok) range.Store(0, value);
        return ok;
    }

    /// <summary>Copies bytes into guest memory; false if they do not all lie in RAM.</summary>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> bytes)
    {
        bool ok = TryRange(address, (ulong)bytes.Length, out HostRange range);
        if (ok) bytes.CopyTo(range.Span);
        return ok;
    }

    /// <summary>Gives the memory back. Nothing may use a range of it afterwards.</summary>
    public void Dispose()
    {
        if (_reservation == null) return;
        _ = Libc.munmap(_reservation, _reserved);
        _reservation = null;
        Array.Clear(_regions);
    }

    private static bool Open(byte* at, ulong length)
    {
        if (length == 0) return true;
        if (Libc.mprotect(at, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE) != 0) return false;
        _ = Libc.madvise(at, (nuint)length, Libc.MADV_DONTDUMP);
        return true;
    }

    private static MicroVmException TooMuch(ulong size) =>
        MicroVmException.Host("cannot reserve guest memory", $"{size >> 20} MiB: {Libc.Describe(Libc.Errno)}", "Ask for less with --memory");
}
