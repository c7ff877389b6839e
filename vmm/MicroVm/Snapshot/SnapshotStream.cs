using System.Buffers;
using System.Buffers.Binary;

namespace MicroVm.Snapshot;

/// <summary>A snapshot does not have the form that its reader expects.</summary>
public sealed class SnapshotException(string message) : Exception(message);

/// <summary>Writes (tag, length, bytes) entries. Tags are register offsets, with a bank's index in bits 32 and up; hidden state has tags from 0x1_0000 on.</summary>
public ref struct SnapshotWriter(IBufferWriter<byte> output)
{
    private readonly IBufferWriter<byte> _output = output;

    /// <summary>Writes one entry: u64 tag, u32 length, the value in little-endian order.</summary>
    public readonly void Write(ulong tag, ulong value, int width)
    {
        Span<byte> span = _output.GetSpan(12 + 8);
        BinaryPrimitives.WriteUInt64LittleEndian(span, tag);
        BinaryPrimitives.WriteUInt32LittleEndian(span[8..], (uint)width);
        BinaryPrimitives.WriteUInt64LittleEndian(span[12..], value);
        _output.Advance(12 + width);
    }

    /// <summary>Writes one entry of raw bytes.</summary>
    public readonly void Write(ulong tag, scoped ReadOnlySpan<byte> value)
    {
        Span<byte> span = _output.GetSpan(12 + value.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(span, tag);
        BinaryPrimitives.WriteUInt32LittleEndian(span[8..], (uint)value.Length);
        value.CopyTo(span[12..]);
        _output.Advance(12 + value.Length);
    }
}

/// <summary>Reads the entries of one block. Every length is checked against what is there before it is used.</summary>
public ref struct SnapshotReader(ReadOnlySpan<byte> input)
{
    private ReadOnlySpan<byte> _rest = input;

    /// <summary>Reads the next entry; false at the end.</summary>
    /// <exception cref="SnapshotException">The input ends inside an entry.</exception>
    public bool TryRead(out ulong tag, out ReadOnlySpan<byte> value)
    {
        tag = 0;
        value = default;
        if (_rest.IsEmpty) return false;
        if (_rest.Length < 12) throw new SnapshotException("entry header is cut short");
        tag = BinaryPrimitives.ReadUInt64LittleEndian(_rest);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(_rest[8..]);
        if (length > (uint)_rest.Length - 12) throw new SnapshotException($"entry 0x{tag:x} says {length} bytes, {_rest.Length - 12} are left");
        value = _rest.Slice(12, (int)length);
        _rest = _rest[(12 + (int)length)..];
        return true;
    }

    /// <summary>The little-endian value of an entry of exactly <paramref name="width"/> bytes.</summary>
    /// <exception cref="SnapshotException">Another length.</exception>
    public static ulong Value(ulong tag, ReadOnlySpan<byte> bytes, int width)
    {
        if (bytes.Length != width) throw new SnapshotException($"entry 0x{tag:x} has {bytes.Length} bytes, not {width}");
        ulong value = 0;
        for (int i = 0; i < width; i++) value |= (ulong)bytes[i] << (8 * i);
        return value;
    }
}
