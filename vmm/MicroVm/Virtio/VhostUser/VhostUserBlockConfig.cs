using System.Buffers.Binary;
using MicroVm.Bus;

namespace MicroVm.Devices;

/// <summary>A disk's configuration space as its backend has it, but for the number of queues, which stays what the guest found first.</summary>
public sealed partial class VhostUserBlockConfig
{
    private readonly ushort _queues;
    // Swapped whole by the keeper's thread.
    private volatile byte[] _bytes;

    /// <summary>Where the number of queues stands.</summary>
    internal static int QueuesOffset { get; } = (int)Array.Find(VirtioBlockConfig.Catalog.Registers, static r => r.Name == "NumQueues")!.Offset;

    /// <param name="bytes">At least <see cref="Size"/> bytes.</param>
    /// <param name="queues">Queues of the device.</param>
    internal VhostUserBlockConfig(ReadOnlySpan<byte> bytes, int queues)
    {
        _queues = (ushort)queues;
        _bytes = Seen(bytes);
        Initialize();
    }

    /// <summary>Shows what the backend has now; true if that is news.</summary>
    internal bool Take(ReadOnlySpan<byte> bytes)
    {
        byte[] seen = Seen(bytes);
        bool news = !_bytes.AsSpan().SequenceEqual(seen);
        _bytes = seen;
        return news;
    }

    private byte[] Seen(ReadOnlySpan<byte> bytes)
    {
        byte[] seen = bytes[..(int)Size].ToArray();
        BinaryPrimitives.WriteUInt16LittleEndian(seen.AsSpan(QueuesOffset), _queues);
        return seen;
    }

    private partial IoStatus ReadSpace(uint offset, int width, out ulong value)
    {
        value = 0;
        if (width is not (1 or 2 or 4 or 8)) return IoStatus.BadWidth;
        if (offset > Size - (uint)width) return IoStatus.NoRegister;
        Span<byte> wide = stackalloc byte[sizeof(ulong)];
        wide.Clear();
        _bytes.AsSpan((int)offset, width).CopyTo(wide);
        value = BinaryPrimitives.ReadUInt64LittleEndian(wide);
        return IoStatus.Ok;
    }

    private partial IoStatus WriteSpace(uint offset, int width, ulong value) => IoStatus.ReadOnly;
}
