using System.Runtime.InteropServices;
using K4os.Compression.LZ4;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot.Unpack;

/// <summary>The legacy frame of LZ4, which kernels are packed with: a magic number, then blocks with their size before them, each of them 8 MiB when unpacked but the last.</summary>
internal static class Lz4LegacyDecoder
{
    /// <summary>Unpacks all frames straight into place.</summary>
    /// <exception cref="InvalidDataException">The frame is damaged.</exception>
    internal static int Decode(PayloadStream source, Span<byte> into)
    {
        // Outside the collector's heap, so that nothing of it stays: a compressed block has megabytes.
        using HostMapping mapping = HostMapping.Allocate(Math.Min(source.Left, (ulong)LZ4Codec.MaximumOutputSize(Lz4Legacy.BlockSize)));
        Span<byte> block = mapping.Range.Span;
        int length = 0;
        ExpectMagic(Word(source));
        while (source.Left > 0)
        {
            uint size = Word(source);
            // A frame may follow a frame.
            if (size == Lz4Legacy.Magic) continue;
            if (size == 0 || size > (uint)block.Length) throw new InvalidDataException($"an lz4 block says that it has {size} bytes");
            source.Take(block[..(int)size]);
            int n = LZ4Codec.Decode(block[..(int)size], into.Slice(length, Math.Min(Lz4Legacy.BlockSize, into.Length - length)));
            if (n < 0) throw new InvalidDataException($"an lz4 block at {length} is damaged");
            length += n;
        }
        return length;
    }

    private static void ExpectMagic(uint word)
    {
        if (word != Lz4Legacy.Magic) throw new InvalidDataException($"0x{word:x8} is not the magic number of a legacy lz4 frame");
    }

    private static uint Word(PayloadStream source)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        source.Take(bytes);
        return MemoryMarshal.Read<uint>(bytes);
    }
}
