using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MicroVm.Memory;

/// <summary>The page from which a guest reads resident registers without an exit: the guest maps it read-only, this process writes it.</summary>
/// <remarks>Offsets are in bytes and bounded by <see cref="Size"/>; registers are naturally aligned, so each store is one store to the guest.</remarks>
public sealed unsafe class ResidentPage
{
    private readonly byte* _base;
    private readonly byte[]? _pinned;

    /// <summary>Wraps memory that outlives this object, for example a part of a read-only memory slot.</summary>
    internal ResidentPage(byte* address, int size)
    {
        _base = address;
        Size = size;
    }

    /// <summary>A page of its own, for blocks that no guest maps (tests, or a KVM without read-only slots).</summary>
    public ResidentPage(int size)
    {
        _pinned = GC.AllocateArray<byte>(size, pinned: true);
        // SAFETY: the array is pinned for its life and this object keeps it alive.
        _base = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_pinned));
        Size = size;
    }

    /// <summary>Bytes.</summary>
    public int Size { get; }

    private ResidentPage(ResidentPage whole, uint offset, int size)
    {
        _pinned = whole._pinned;
        _base = (byte*)Unsafe.AsPointer(ref whole.At<byte>(offset, size));
        Size = size;
    }

    /// <summary>A part of the page for one of several blocks that share it; its offsets begin at 0.</summary>
    public ResidentPage Slice(uint offset, int size) => new(this, offset, size);

    /// <summary>Stores a value of 1, 2, 4 or 8 bytes, visible to the guest at once.</summary>
    // A plain store: x86 keeps the order of stores and an aligned one is never split.
    public void Store<T>(uint offset, T value) where T : unmanaged => Unsafe.WriteUnaligned(ref At<byte>(offset, sizeof(T)), value);

    /// <summary>Loads what the guest would read.</summary>
    public T Load<T>(uint offset) where T : unmanaged => Unsafe.ReadUnaligned<T>(ref At<byte>(offset, sizeof(T)));

    /// <summary>A 32-bit register for <see cref="Interlocked"/>.</summary>
    public ref uint Atomic32(uint offset) => ref At<uint>(offset, sizeof(uint));

    /// <summary>The raw bytes, for configuration windows.</summary>
    public Span<byte> Bytes(uint offset, int length) => MemoryMarshal.CreateSpan(ref At<byte>(offset, length), length);

    private ref T At<T>(uint offset, int length) where T : unmanaged
    {
        if (offset > (uint)Size || (uint)length > (uint)Size - offset) throw new ArgumentOutOfRangeException(nameof(offset));
        // SAFETY: inside the page, checked above.
        return ref Unsafe.AsRef<T>(_base + offset);
    }
}
