using System.Buffers.Binary;
using MicroVm.Devices;
using SharpCompress.Compressors.LZMA;

namespace MicroVm.Boot.Unpack;

/// <summary>LZMA and LZMA2 by the library, with the dictionary cut down to what can be referred to: a file may claim 4 GiB of it.</summary>
/// <remarks>The library is not told how long its input is: given that, it takes the end of correct LZMA2 for damage.</remarks>
internal static class LzmaDecoder
{
    /// <summary>The format of <c>lzma(1)</c>: properties, dictionary size and unpacked size before the data.</summary>
    internal static int DecodeAlone(PayloadStream source, Span<byte> into)
    {
        Span<byte> header = stackalloc byte[LzmaConst.HeaderSize];
        source.Take(header);
        byte[] properties = header[..LzmaConst.PropertiesSize].ToArray();
        uint dictionary = BinaryPrimitives.ReadUInt32LittleEndian(properties.AsSpan(1));
        BinaryPrimitives.WriteUInt32LittleEndian(properties.AsSpan(1), Math.Min(dictionary, Sufficient(into.Length)));
        // An unknown size is all ones, and then the data has an end mark.
        long claimed = BinaryPrimitives.ReadInt64LittleEndian(header[LzmaConst.PropertiesSize..]);
        using LzmaStream stream = LzmaStream.Create(properties, source, -1, claimed, true);
        return PayloadDecoder.Fill(stream, into);
    }

    /// <summary>The chunks of LZMA2 up to their end mark.</summary>
    /// <param name="source">At the first chunk; afterwards behind the last.</param>
    /// <param name="dictionary">The filter's property: a size as 2 or 3 shifted.</param>
    /// <param name="into">Where to.</param>
    internal static int Decode2(PayloadStream source, byte dictionary, Span<byte> into)
    {
        if (dictionary > 40) throw new InvalidDataException($"the lzma2 dictionary size is {dictionary}");
        while (dictionary > 0 && Size(dictionary - 1) >= (ulong)into.Length) dictionary--;
        using LzmaStream stream = LzmaStream.Create([dictionary], source, -1, -1, null, true, true);
        return PayloadDecoder.Fill(stream, into);
    }

    private static ulong Size(int property) => (2ul | (uint)property & 1) << (property / 2 + 11);

    // Never empty, and with room for the longest match.
    private static uint Sufficient(int length) => (uint)Math.Max(length, 4096);
}
