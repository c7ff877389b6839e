using System.Buffers.Binary;
using System.IO.Hashing;
using MicroVm.Devices;

namespace MicroVm.Boot.Unpack;

/// <summary>The container of xz as kernels use it: blocks of LZMA2, before that perhaps the x86 branch filter, behind each block a CRC32.</summary>
/// <remarks>The .xz file format, 1.2.1. Why it is ours: docs/decisions/0012.</remarks>
internal static class XzDecoder
{
    /// <summary>Unpacks the blocks of one stream. Its index and footer repeat what was checked already.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or uses what kernels do not.</exception>
    internal static int Decode(PayloadStream source, Span<byte> into)
    {
        Span<byte> header = stackalloc byte[XzConst.StreamHeaderSize];
        source.Take(header);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != XzConst.MagicLow || BinaryPrimitives.ReadUInt16LittleEndian(header[4..]) != XzConst.MagicHigh)
            throw new InvalidDataException("the stream header has another magic number");
        int check = header[7];
        if (header[6] != 0 || check is not (XzConst.CheckNone or XzConst.CheckCrc32)) throw new InvalidDataException($"xz check {check} is not one that kernels use");
        ExpectCrc(header[6..8], header[8..]);
        int length = 0;
        while (source.ReadByte() is int size and > 0) length += Block(source, size, check, into[length..]);
        return length;
    }

    private static int Block(PayloadStream source, int size, int check, Span<byte> into)
    {
        Span<byte> header = stackalloc byte[1024];
        header = header[..(size * 4)];
        header[0] = (byte)size;
        source.Take(header[1..]);
        Span<byte> crc = stackalloc byte[sizeof(uint)];
        source.Take(crc);
        ExpectCrc(header, crc);
        bool branches = Filters(header[1..]);
        ulong start = source.Taken;
        int length = LzmaFormats.Decode2(source, into);
        if (branches) BranchFilter.Decode(into[..length]);
        while ((source.Taken - start) % 4 != 0)
            if (source.ReadByte() != 0) throw new InvalidDataException("the padding of a block is not zero");
        if (check == XzConst.CheckNone) return length;
        source.Take(crc);
        ExpectCrc(into[..length], crc);
        return length;
    }

    // Flags, two optional sizes, the filters, padding. The dictionary size does not matter: all that was unpacked is there.
    private static bool Filters(ReadOnlySpan<byte> header)
    {
        int flags = header[0], at = 1;
        if ((flags & 0x40) != 0) _ = Number(header, ref at);
        if ((flags & 0x80) != 0) _ = Number(header, ref at);
        int count = (flags & 3) + 1;
        ulong first = Number(header, ref at);
        bool branches = first == XzConst.FilterX86;
        if (count != (branches ? 2 : 1)) throw new InvalidDataException($"{count} xz filters, beginning with 0x{first:x}, are not what kernels use");
        if (branches)
        {
            if (Number(header, ref at) != 0) throw new InvalidDataException("the x86 filter has properties");
            first = Number(header, ref at);
        }
        if (first != XzConst.FilterLzma2 || Number(header, ref at) != 1) throw new InvalidDataException($"xz filter 0x{first:x} is not lzma2");
        return branches;
    }

    private static ulong Number(ReadOnlySpan<byte> bytes, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; shift < 63; shift += 7)
        {
            byte b = bytes[at++];
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80) return value;
        }
        throw new InvalidDataException("a number of the block header is too long");
    }

    private static void ExpectCrc(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> crc)
    {
        if (Crc32.HashToUInt32(bytes) != BinaryPrimitives.ReadUInt32LittleEndian(crc)) throw new InvalidDataException("a checksum does not match");
    }
}
