using System.IO.Compression;
using MicroVm.Devices;
using MicroVm.Memory;
using SharpCompress.Compressors.BZip2;
using ZstdSharp;

namespace MicroVm.Boot.Unpack;

/// <summary>Unpacks the payload of a bzImage into memory of its own, never into the guest's: each decoder is bounded by the size that the payload claims, and that by the guest's memory.</summary>
internal static class PayloadDecoder
{
    private const string Damaged = "The file is damaged: copy it again";

    /// <summary>Unpacks. The caller disposes the mapping.</summary>
    /// <exception cref="MicroVmException">The payload is damaged, or of a kind that is not known.</exception>
    internal static HostMapping Unpack(BootFile file, in BzImage.Payload payload)
    {
        RefuseUnknown(file, payload.Magic);
        HostMapping mapping = HostMapping.Allocate(payload.Unpacked);
        try
        {
            int length = Decode(file, payload, mapping.Range.Span);
            if ((ulong)length != payload.Unpacked) throw file.Bad("the payload", $"unpacks to {length} bytes, but says {payload.Unpacked}", Damaged);
            return mapping;
        }
        catch (Exception e)
        {
            mapping.Dispose();
            // Decoders answer damaged input with whatever type they have, from InvalidDataException to IndexOutOfRangeException.
            if (e is MicroVmException) throw;
            throw file.Bad("the payload", $"({Name(payload.Magic)}) cannot be unpacked: {FirstLine(e.Message)}", Damaged);
        }
    }

    /// <summary>The name of a compression, for people.</summary>
    internal static string Name(int magic) => magic switch
    {
        PayloadMagic.Gzip or PayloadMagic.OldGzip => "gzip",
        PayloadMagic.Bzip2 => "bzip2",
        PayloadMagic.Lzma => "lzma",
        PayloadMagic.Xz => "xz",
        PayloadMagic.Lzo => "lzo",
        PayloadMagic.Lz4 => "lz4",
        PayloadMagic.Zstd => "zstd",
        _ => $"0x{magic:x4}",
    };

    private static void RefuseUnknown(BootFile file, int magic)
    {
        if (magic is PayloadMagic.Gzip or PayloadMagic.OldGzip or PayloadMagic.Bzip2 or PayloadMagic.Lzma or PayloadMagic.Xz or PayloadMagic.Lz4 or PayloadMagic.Zstd) return;
        string problem = magic == PayloadMagic.Lzo ? "is compressed with lzo, which is not supported" : $"begins with 0x{magic:x4}, which no known compression does";
        throw file.Bad("the payload", problem, "Give a kernel compressed with gzip, bzip2, lzma, xz, lz4 or zstd, or its vmlinux");
    }

    private static int Decode(BootFile file, in BzImage.Payload payload, Span<byte> into)
    {
        if (payload.Magic == PayloadMagic.Zstd) return Zstd(file, payload, into);
        using PayloadStream source = new(file, payload.Offset, payload.Length);
        switch (payload.Magic)
        {
            case PayloadMagic.Lz4: return Lz4LegacyDecoder.Decode(source, into);
            case PayloadMagic.Xz: return XzDecoder.Decode(source, into);
            case PayloadMagic.Lzma: return LzmaFormats.DecodeAlone(source, into);
            case PayloadMagic.Bzip2:
                using (Stream bzip2 = BZip2Stream.Create(source, SharpCompress.Compressors.CompressionMode.Decompress, false, false, true)) return Fill(bzip2, into);
            default:
                using (Stream gzip = new GZipStream(source, CompressionMode.Decompress)) return Fill(gzip, into);
        }
    }

    // All at once: the streaming decoder would keep a window of up to 128 MiB and copy out of it.
    private static int Zstd(BootFile file, in BzImage.Payload payload, Span<byte> into)
    {
        using HostMapping source = HostMapping.Allocate(payload.Length);
        file.Read(payload.Offset, source.Range);
        using Decompressor decompressor = new();
        return decompressor.Unwrap(source.Range.Span, into);
    }

    /// <summary>Reads a decoder until it ends or there is no room; one byte more than fits is reported as one byte too many.</summary>
    internal static int Fill(Stream stream, Span<byte> into)
    {
        byte[] chunk = new byte[1 << 17];
        int length = 0;
        while (stream.Read(chunk, 0, Math.Min(chunk.Length, into.Length - length + 1)) is int n and > 0)
        {
            if (n > into.Length - length) return into.Length + 1;
            chunk.AsSpan(0, n).CopyTo(into[length..]);
            length += n;
        }
        return length;
    }

    private static string FirstLine(string message)
    {
        // Where resources are left out of the binary, a message of the framework is only its key.
        if (!message.Contains(' ')) return "its data is damaged";
        int end = message.IndexOf('\n', StringComparison.Ordinal);
        return (end < 0 ? message : message[..end]).TrimEnd('.', '\r');
    }
}
