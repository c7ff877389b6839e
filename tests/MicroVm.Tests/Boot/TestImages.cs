using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;
using K4os.Compression.LZ4;
using SharpCompress.Compressors.BZip2;

namespace MicroVm.Tests.Boot;

/// <summary>Small kernels made here, so that each field can be made wrong.</summary>
internal static class TestImages
{
    internal const ulong LoadAddress = 0x100000;

    internal sealed record Segment(ulong Address, byte[] Data, ulong MemSize, uint Type = 1);

    /// <summary>A 64-bit ELF.</summary>
    internal static byte[] Elf64(ulong entry, params Segment[] segments)
    {
        int headers = 64 + 56 * segments.Length;
        using MemoryStream file = new();
        file.SetLength(headers);
        file.Position = headers;
        byte[] table = new byte[56 * segments.Length];
        for (int i = 0; i < segments.Length; i++)
        {
            Segment s = segments[i];
            Span<byte> p = table.AsSpan(56 * i);
            BinaryPrimitives.WriteUInt32LittleEndian(p, s.Type);
            BinaryPrimitives.WriteUInt64LittleEndian(p[8..], (ulong)file.Position);
            BinaryPrimitives.WriteUInt64LittleEndian(p[24..], s.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(p[32..], (ulong)s.Data.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(p[40..], s.MemSize);
            file.Write(s.Data);
        }
        byte[] bytes = file.ToArray();
        Ident(bytes, 2, 62);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(0x18), entry);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(0x20), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x36), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x38), (ushort)segments.Length);
        table.CopyTo(bytes, 64);
        return bytes;
    }

    /// <summary>A 32-bit ELF of a few hundred bytes with a PVH note: code at 1 MiB.</summary>
    internal static byte[] OnePage(byte[]? code = null, uint entry = 0x100000)
    {
        code ??= [0xf4];
        byte[] note = Note(entry), bytes = new byte[52 + 64 + note.Length + code.Length];
        Ident(bytes, 1, 3);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x18), entry);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x1c), 52);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x2a), 32);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x2c), 2);
        Row32(bytes.AsSpan(52), 4, 116, 0, note.Length);
        Row32(bytes.AsSpan(84), 1, 116 + note.Length, 0x100000, code.Length);
        note.CopyTo(bytes, 116);
        code.CopyTo(bytes, 116 + note.Length);
        return bytes;
    }

    /// <summary>A kernel with text, a gap, data and bss as real ones have, and a PVH note if asked for.</summary>
    internal static byte[] Kernel(bool pvh = true, int size = 300_000, int seed = 1, ulong gap = 0x200000)
    {
        byte[] text = Code(size, seed), data = Code(9_000, seed + 1);
        Segment[] loads =
        [
            new(LoadAddress, text, (ulong)text.Length), new(LoadAddress + gap, data, 0x10000),
        ];
        return Elf64(LoadAddress + 0x10, pvh ? [.. loads, new(0, Note((uint)LoadAddress + 0x20), 0, 4)] : loads);
    }

    /// <summary>The note that names the PVH entry, behind another one.</summary>
    internal static byte[] Note(uint entry)
    {
        byte[] other = [4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, (byte)'G', (byte)'N', (byte)'U', 0, 1, 2, 3, 0];
        byte[] pvh = [4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, (byte)'X', (byte)'e', (byte)'n', 0, .. BitConverter.GetBytes(entry)];
        return [.. other, .. pvh];
    }

    /// <summary>A bzImage around a payload that is packed already; the size is appended unless it is gzip's.</summary>
    internal static byte[] BzImage(byte[] packed, int unpacked, bool appendSize = true, int sectors = 1)
    {
        byte[] payload = appendSize ? [.. packed, .. BitConverter.GetBytes(unpacked)] : packed;
        int code = (Math.Max(sectors, 0) + 1) * 512;
        byte[] bytes = new byte[code + 64 + payload.Length + 32];
        bytes[0x1f1] = (byte)sectors;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x1fe), 0xaa55);
        bytes[0x200] = 0xeb;
        bytes[0x201] = 0x6a;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x202), 0x53726448);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x206), 0x020f);
        bytes[0x211] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x22c), 0x7fffffff);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x238), 2047);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x248), 64);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x24c), (uint)payload.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(0x258), 0x1000000);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x260), 0x800000);
        payload.CopyTo(bytes, code + 64);
        return bytes;
    }

    /// <summary>A bzImage without a payload, as memtest86+ is one: protected-mode code at 1 MiB, with a 64-bit entry or
    /// none.</summary>
    internal static byte[] Plain(bool wide = true)
    {
        byte[] bytes = BzImage(Code(5000, 9), 0, appendSize: false);
        bytes.AsSpan(0x248, 8).Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(0x236), (ushort)(wide ? 9 : 4));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(0x258), LoadAddress);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0x260), 0x6acf8);
        return bytes;
    }

    /// <summary>A statically or dynamically linked program: what the linker puts beside its code.</summary>
    internal static byte[] Program(uint type, byte[] mark) =>
        Elf64(0x401000, new Segment(0x400000, Code(9000, 3), 9000), new Segment(0, mark, 0, type));

    /// <summary>The note of a program that is linked for Linux.</summary>
    internal static byte[] AbiTag => [4, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, .. "GNU\0"u8, .. new byte[16]];

    /// <summary>A bzImage around an ELF, packed as named.</summary>
    internal static byte[] Packed(string compression, byte[] elf) => BzImage(Pack(compression, elf), elf.Length, compression != "gzip");

    // As scripts/Makefile.lib and xz_wrap.sh of Linux call the tools, but with small dictionaries; libraries where a tool is missing.
    private static byte[] Pack(string compression, byte[] elf) => compression switch
    {
        "gzip" => Through(elf, s => new GZipStream(s, CompressionLevel.Fastest)),
        "bzip2" => Has("bzip2") ? Tool("bzip2", "-1 --stdout", elf)
            : Through(elf, s => BZip2Stream.Create(s, SharpCompress.Compressors.CompressionMode.Compress, false, false, false)),
        "zstd" => Has("zstd") ? Tool("zstd", "-q -3 --stdout", elf) : new ZstdSharp.Compressor().Wrap(elf).ToArray(),
        "lz4" => Has("lz4") ? Tool("lz4", "-q -l -1 --stdout -", elf) : Lz4(elf),
        "lz4-library" => Lz4(elf),
        "lzma" => Tool("xz", "--format=lzma --lzma1=dict=1MiB --stdout", elf),
        "xz" => Tool("xz", "--check=crc32 --x86 --lzma2=dict=1MiB --stdout", elf),
        "xz-blocks" => Tool("xz", "--check=crc32 --x86 --lzma2=dict=1MiB --block-size=65536 --stdout", elf),
        "xz-plain" => Tool("xz", "--check=none -0 --stdout", elf),
        _ => throw new ArgumentException(compression),
    };

    /// <summary>Whether the host has a program.</summary>
    internal static bool Has(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>Runs a program of the host over bytes.</summary>
    internal static byte[] Tool(string program, string arguments, byte[] input)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Task feed = Task.Run(() =>
        {
            process.StandardInput.BaseStream.Write(input);
            process.StandardInput.Close();
        });
        using MemoryStream output = new();
        process.StandardOutput.BaseStream.CopyTo(output);
        feed.Wait();
        process.WaitForExit();
        return process.ExitCode == 0 ? output.ToArray() : throw new InvalidOperationException($"{program} {arguments} ended with {process.ExitCode}");
    }

    private static byte[] Lz4(byte[] elf)
    {
        using MemoryStream frame = new();
        frame.Write(BitConverter.GetBytes(0x184c2102));
        for (int at = 0; at < elf.Length; at += 8 << 20)
        {
            int length = Math.Min(8 << 20, elf.Length - at);
            byte[] block = new byte[LZ4Codec.MaximumOutputSize(length)];
            int n = LZ4Codec.Encode(elf.AsSpan(at, length), block);
            frame.Write(BitConverter.GetBytes(n));
            frame.Write(block.AsSpan(0, n));
        }
        return frame.ToArray();
    }

    private static byte[] Through(byte[] bytes, Func<Stream, Stream> wrap)
    {
        MemoryStream output = new();
        using (Stream stream = wrap(output)) stream.Write(bytes);
        return output.ToArray();
    }

    // Half noise, half calls and jumps with near targets, so that branch filters have something to do.
    private static byte[] Code(int length, int seed)
    {
        Random random = new(seed);
        byte[] bytes = new byte[length];
        for (int i = 0; i + 8 < length; i += 8)
        {
            random.NextBytes(bytes.AsSpan(i, 3));
            bytes[i + 3] = (byte)(0xe8 + random.Next(2));
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i + 4), random.Next(-100_000, 100_000));
        }
        return bytes;
    }

    private static void Ident(Span<byte> bytes, byte elfClass, ushort machine)
    {
        ReadOnlySpan<byte> ident = [0x7f, (byte)'E', (byte)'L', (byte)'F', elfClass, 1, 1];
        ident.CopyTo(bytes);
        bytes[0x10] = 2;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[0x12..], machine);
        bytes[0x14] = 1;
    }

    private static void Row32(Span<byte> row, uint type, int offset, uint address, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(row, type);
        BinaryPrimitives.WriteInt32LittleEndian(row[4..], offset);
        BinaryPrimitives.WriteUInt32LittleEndian(row[12..], address);
        BinaryPrimitives.WriteInt32LittleEndian(row[16..], length);
        BinaryPrimitives.WriteInt32LittleEndian(row[20..], length);
    }
}
