using MicroVm.Kvm;

namespace MicroVm.Memory;

/// <summary>One run of guest physical memory and where this process has it.</summary>
/// <param name="GuestAddress">First guest physical address, page aligned.</param>
/// <param name="Length">Bytes, page aligned.</param>
/// <param name="HostAddress">Where it is mapped in this process.</param>
/// <param name="ReadOnly">The guest's processors cannot write it.</param>
/// <param name="IsFile">A file of the user is behind it, and not memory.</param>
public readonly record struct MemoryRegion(ulong GuestAddress, ulong Length, nint HostAddress, bool ReadOnly = false, bool IsFile = false)
{
    /// <summary>First guest address behind it.</summary>
    public ulong End => GuestAddress + Length;
}

/// <summary>The guest's RAM: one region below the MMIO hole and, if it does not fit there, one above 4 GiB, behind which there may be room for memory that comes and goes.
/// Between and around them lie inaccessible guard pages.</summary>
/// <remarks>Pages come from the host when they are first touched, huge ones where it has them (docs/decisions/0014); they are this process's alone, or a file in memory that other processes can map (docs/decisions/0070). No method trusts a guest address: each range is checked against one region, so nothing spans the hole.
/// All above 4 GiB is one reservation, so that what touches in the guest touches here; it is kept until the end, so that a <see cref="HostRange"/> stays good memory of this process
/// after its guest memory was taken away (docs/decisions/0090). This file: what there is; beside it the changes.</remarks>
public sealed unsafe partial class GuestMemory : IDisposable
{
    /// <summary>Bytes of a page.</summary>
    public const ulong PageSize = 4096;
    private const ulong HugePage = 1 << 21, GuardSize = HugePage;

    private readonly nuint _reserved;
    private readonly ulong _highStart;
    private readonly byte* _highHost;
    private readonly SharedFile? _file;
    private byte* _reservation;
    // Swapped whole: readers take no lock.
    private volatile MemoryRegion[] _regions;

    private GuestMemory(byte* reservation, nuint reserved, ulong highStart, byte* highHost, SharedFile? file, MemoryRegion[] boot)
    {
        _reservation = reservation;
        _reserved = reserved;
        _highStart = highStart;
        _highHost = highHost;
        _file = file;
        _regions = _parts = boot;
    }

    /// <summary>The regions in the order of their addresses, as they are now: one or two from the beginning, more where memory was plugged in.</summary>
    public ReadOnlySpan<MemoryRegion> Regions => _regions;

    /// <summary>Bytes of RAM that the guest starts with.</summary>
    public ulong Size { get; private init; }

    /// <summary>Whether other processes can be given it.</summary>
    internal bool IsShared => _file is not null;

    /// <summary>With <see cref="IsShared"/>: the file behind a region, this object's own, and the region's offset in it.</summary>
    internal (int File, ulong Offset) FileOf(in MemoryRegion region) =>
        _file is { } file ? (file.Descriptor, file.OffsetOf((byte*)region.HostAddress)) : throw new InvalidOperationException("the memory is this process's alone");

    /// <summary>Reserves <paramref name="size"/> bytes of guest memory.</summary>
    /// <param name="size">Bytes, rounded up to a page.</param>
    /// <param name="lowLimit">End of the memory below the hole.</param>
    /// <param name="highStart">Where the rest goes.</param>
    /// <param name="room">Bytes of guest addresses behind it for memory that is plugged in later.</param>
    /// <param name="shared">Other processes can be given it.</param>
    /// <exception cref="MicroVmException">The host does not give that much address space.</exception>
    public static GuestMemory Allocate(ulong size, ulong lowLimit, ulong highStart, ulong room = 0, bool shared = false)
    {
        size = (size + PageSize - 1) & ~(PageSize - 1);
        ulong low = Math.Min(size, lowLimit), high = size - low;
        ulong plugStart = room == 0 ? highStart + high : AlignUp(highStart + high, PlugAlignment), plugEnd = plugStart + room;
        nuint reserved = (nuint)(low + (plugEnd - highStart) + 3 * GuardSize);
        // SAFETY: a fresh reservation; the regions are opened inside it and never outlive it.
        byte* start = (byte*)Libc.mmap(null, reserved, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (start == Libc.MapFailed) throw TooMuch(size + room);
        // 2 MiB alignment lets the host back all of them with huge pages.
        byte* lowHost = (byte*)(((nuint)start + (nuint)GuardSize) & ~(nuint)(GuardSize - 1));
        byte* highHost = lowHost + AlignUp(low + GuardSize, GuardSize);
        SharedFile? file = shared ? SharedFile.TryMake(start, reserved) : null;
        if (shared && file is null || !Open(file, lowHost, low) || !Open(file, highHost, high))
        {
            MicroVmException failure = TooMuch(size);
            file?.Dispose();
            _ = Libc.munmap(start, reserved);
            throw failure;
        }
        // Not the first 2 MiB: a tiny guest touches a few pages of them, and clearing a huge page would be most of its start.
        if (low > HugePage) _ = Libc.madvise(lowHost + HugePage, (nuint)(low - HugePage), Libc.MADV_HUGEPAGE);
        if (high > 0) _ = Libc.madvise(highHost, (nuint)high, Libc.MADV_HUGEPAGE);
        MemoryRegion first = new(0, low, (nint)lowHost);
        MemoryRegion[] boot = high == 0 ? [first] : [first, new(highStart, high, (nint)highHost)];
        return new GuestMemory(start, reserved, highStart, highHost, file, boot) { Size = size, PlugStart = plugStart, PlugEnd = plugEnd, _placed = plugStart };
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

    /// <summary>Whether the guest still has all of a range that it had once.</summary>
    internal bool Holds(HostRange range)
    {
        foreach (ref readonly MemoryRegion region in _regions.AsSpan())
        {
            ulong offset = (ulong)((nint)range.Address - region.HostAddress);
            if (offset < region.Length && range.Length <= region.Length - offset) return true;
        }
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
        _regions = _parts = [];
        _ = Libc.munmap(_reservation, _reserved);
        _reservation = null;
        _file?.Dispose();
    }

    private static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);

    private static bool Open(SharedFile? file, byte* at, ulong length)
    {
        if (length == 0) return true;
        if (file is null ? Libc.mprotect(at, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE) != 0 : !file.TryMap(at, length)) return false;
        _ = Libc.madvise(at, (nuint)length, Libc.MADV_DONTDUMP);
        return true;
    }

    private static MicroVmException TooMuch(ulong size) =>
        MicroVmException.Refused(FailureKind.Host, "cannot reserve guest memory", $"{size >> 20} MiB", Libc.Errno,
            HostProcess.MoreMemory("Ask for less with --memory"));
}
