using System.Buffers.Binary;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot.Unpack;

/// <summary>What LZMA data comes in: the file of <c>lzma(1)</c>, and the chunks of LZMA2 inside xz.</summary>
internal static class LzmaFormats
{
    /// <summary>The format of <c>lzma(1)</c>: properties, dictionary size and unpacked size before the data.</summary>
    /// <exception cref="InvalidDataException">The data is damaged.</exception>
    internal static int DecodeAlone(PayloadStream source, Span<byte> into)
    {
        Span<byte> header = stackalloc byte[LzmaConst.HeaderSize];
        source.Take(header);
        // All ones for an unknown size, and then the data has an end mark.
        ulong claimed = BinaryPrimitives.ReadUInt64LittleEndian(header[LzmaConst.PropertiesSize..]);
        bool marked = claimed == ulong.MaxValue;
        if (!marked && claimed > (ulong)into.Length) throw new InvalidDataException($"the lzma header says {claimed} bytes");
        using HostMapping packed = HostMapping.Allocate(source.Left);
        source.Take(packed.Range.Span);
        RangeDecoder range = new(packed.Range.Span);
        LzmaDecoder decoder = new();
        decoder.SetProperties(header[0]);
        decoder.Reset();
        return decoder.Decode(ref range, into, 0, marked ? into.Length : (int)claimed, marked);
    }

    /// <summary>The chunks of LZMA2 up to their end mark.</summary>
    /// <param name="source">At the first chunk; afterwards behind the last.</param>
    /// <param name="into">Where to.</param>
    /// <returns>Bytes unpacked.</returns>
    /// <exception cref="InvalidDataException">The data is damaged.</exception>
    internal static int Decode2(PayloadStream source, Span<byte> into)
    {
        LzmaDecoder decoder = new();
        byte[] packed = new byte[1 << 16];
        Span<byte> sizes = stackalloc byte[4];
        int at = 0, dictionary = -1;
        bool properties = false;
        while (source.ReadByte() is int control and not 0)
        {
            bool plain = control < 0x80;
            if (control < 0 || plain && control > 2) throw new InvalidDataException($"lzma2 chunk 0x{control:x} at {at} is unknown");
            if (control is 1 or >= 0xe0) (dictionary, properties) = (at, false);
            if (dictionary < 0) throw new InvalidDataException("lzma2 does not begin with a new dictionary");
            source.Take(sizes[..(plain ? 2 : 4)]);
            int length = (plain ? 0 : (control & 0x1f) << 16) + BinaryPrimitives.ReadUInt16BigEndian(sizes) + 1;
            if (length > into.Length - at) throw new InvalidDataException("an lzma2 chunk unpacks to more than the payload says");
            if (plain)
            {
                source.Take(into.Slice(at, length));
                at += length;
                continue;
            }
            if (control >= 0xc0)
            {
                decoder.SetProperties((byte)source.ReadByte());
                properties = true;
            }
            if (!properties) throw new InvalidDataException($"an lzma2 chunk at {at} has no properties");
            if (control >= 0xa0) decoder.Reset();
            Span<byte> chunk = packed.AsSpan(0, BinaryPrimitives.ReadUInt16BigEndian(sizes[2..]) + 1);
            source.Take(chunk);
            RangeDecoder range = new(chunk);
            decoder.Decode(ref range, into[dictionary..], at - dictionary, at - dictionary + length, marked: false);
            if (!range.IsFinished) throw new InvalidDataException($"an lzma2 chunk at {at} does not end where it should");
            at += length;
        }
        return at;
    }
}
