using System.Runtime.InteropServices;
using K4os.Compression.LZ4;
using MicroVm.Devices;

namespace MicroVm.Boot.Unpack;

/// <summary>The legacy frame of LZ4, which kernels are packed with: a magic number, then blocks with their size before them, each of them 8 MiB when unpacked but the last.</summary>
internal static class Lz4LegacyDecoder
{
    /// <summary>Unpacks all frames straight into place.</summary>
    /// <exception cref="InvalidDataException">The frame is damaged.</exception>
    internal static int Decode(PayloadStream source, Span<byte> into)
    {
        byte[] block = [];
        int length = 0;
        ExpectMagic(Word(source));
        while (source.Left > 0)
        {
            uint size = Word(source);
            // A frame may follow a frame.
            if (size == Lz4Legacy.Magic) continue;
            if (size > source.Left || size > (uint)LZ4Codec.MaximumOutputSize(Lz4Legacy.BlockSize)) throw new InvalidDataException($"an lz4 block says that it has {size} bytes");
            if (block.Length < size) block = new byte[size];
            source.Take(block.AsSpan(0, (int)size));
            int n = LZ4Codec.Decode(block.AsSpan(0, (int)size), into.Slice(length, Math.Min(Lz4Legacy.BlockSize, into.Length - length)));
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
