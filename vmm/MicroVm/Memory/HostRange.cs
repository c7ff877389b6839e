using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MicroVm.Memory;

/// <summary>A checked range of guest memory as this process sees it. The guest writes it at any time: read a value once, copy it, then check the copy.</summary>
/// <remarks>Made only by <see cref="GuestMemory.TryRange"/>; every access is bounded by <see cref="Length"/>.</remarks>
public readonly unsafe struct HostRange
{
    private readonly byte* _base;

    internal HostRange(byte* address, ulong length)
    {
        _base = address;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>Address in this process, for system calls.</summary>
    internal byte* Address => _base;

    /// <summary>Loads a value once. Aligned values of up to 8 bytes are never torn.</summary>
    public T Load<T>(ulong offset) where T : unmanaged => Unsafe.ReadUnaligned<T>(At(offset, (ulong)sizeof(T)));

    /// <summary>Stores a value.</summary>
    public void Store<T>(ulong offset, T value) where T : unmanaged => Unsafe.WriteUnaligned(At(offset, (ulong)sizeof(T)), value);

    /// <summary>Loads an aligned ring index; later loads are not moved before it.</summary>
    public ushort LoadIndex(ulong offset) => Volatile.Read(ref Unsafe.AsRef<ushort>(At(offset, 2)));

    /// <summary>Stores an aligned ring index after everything stored before it.</summary>
    public void StoreIndex(ulong offset, ushort value) => Volatile.Write(ref Unsafe.AsRef<ushort>(At(offset, 2)), value);

    /// <summary>A part of the range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Outside the range.</exception>
    public HostRange Slice(ulong offset, ulong length) => new(At(offset, length), length);

    /// <summary>The pages that lie in the range as a whole; perhaps none.</summary>
    internal HostRange WholePages
    {
        get
        {
            ulong skip = (GuestMemory.PageSize - ((ulong)_base % GuestMemory.PageSize)) % GuestMemory.PageSize;
            return skip >= Length ? default : Slice(skip, (Length - skip) & ~(GuestMemory.PageSize - 1));
        }
    }

    /// <summary>The bytes; the guest may change them while they are looked at.</summary>
    /// <exception cref="ArgumentOutOfRangeException">More than 2 GiB.</exception>
    public Span<byte> Span => Length <= int.MaxValue ? new Span<byte>(_base, (int)Length) : throw new ArgumentOutOfRangeException(nameof(Length));

    // SAFETY: inside the range, which GuestMemory checked against a region that lives as long as the machine.
    private byte* At(ulong offset, ulong length)
    {
        if (offset > Length || length > Length - offset) Throw();
        return _base + offset;
    }

    private static void Throw() => throw new ArgumentOutOfRangeException("offset");
}
