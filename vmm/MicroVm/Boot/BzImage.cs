using System.Runtime.InteropServices;
using MicroVm.Devices;

namespace MicroVm.Boot;

/// <summary>Finds the compressed kernel inside a bzImage, or the code itself in one that has none
/// (memtest86+).</summary>
/// <remarks>Only three things of the header are believed, each within the bounds of the file: where the payload starts, how long it is, and what its last four bytes
/// say of its unpacked size. Load addresses come from the ELF that is inside; without a payload from the
/// header.</remarks>
internal static class BzImage
{
    /// <summary>More than any kernel compresses to.</summary>
    internal const ulong MaxPayload = 64 << 20;

    /// <summary>More than any kernel unpacks to.</summary>
    internal const ulong MaxUnpacked = 1 << 30;

    private const string Truncated = "It looks truncated: copy it again";

    /// <summary>Where the payload is and what it claims.</summary>
    /// <param name="Offset">In the file.</param>
    /// <param name="Length">Bytes, without the size behind it where that is not part of the format.</param>
    /// <param name="Unpacked">Bytes that it says it unpacks to.</param>
    /// <param name="Magic">First two bytes, <see cref="PayloadMagic"/>.</param>
    internal readonly record struct Payload(ulong Offset, ulong Length, ulong Unpacked, int Magic);

    /// <summary>Whether bytes begin like a Linux kernel image for x86.</summary>
    internal static bool Is(ReadOnlySpan<byte> prefix) =>
        prefix.Length >= LinuxBootConst.HeaderLimit && Header(prefix) is { BootFlag: LinuxBootConst.BootFlag, Header: LinuxBootConst.HeaderMagic };

    /// <summary>The setup header as the file has it; the rest of the page is zero.</summary>
    internal static BootParams Header(ReadOnlySpan<byte> prefix)
    {
        BootParams page = default;
        int end = Math.Min(LinuxBootConst.HeaderLimit, LinuxBootConst.HeaderEndBase + prefix[LinuxBootConst.HeaderEndBase - 1]);
        prefix[LinuxBootConst.HeaderOffset..end].CopyTo(MemoryMarshal.AsBytes(new Span<BootParams>(ref page))[LinuxBootConst.HeaderOffset..]);
        return page;
    }

    /// <summary>What is to be loaded of an image whose header names no payload: its protected-mode code as it is,
    /// entered by the Linux boot protocol. Null if there is a payload.</summary>
    /// <exception cref="MicroVmException">The header is not usable; the message names the field.</exception>
    internal static KernelImage? Plain(BootFile file)
    {
        BootParams header = Header(file.Prefix);
        bool hasPayload = header.PayloadOffset != 0 || header.PayloadLength != 0;
        if (hasPayload || header.Version < LinuxBootConst.MinVersion) return null;
        ulong code = CodeOffset(file, header), length = file.Length - code;
        if (length <= LinuxBootConst.Entry64)
            throw file.Bad("the file", $"has {length} bytes of protected-mode code", Truncated);
        if ((header.LoadFlags & (byte)LinuxLoadFlags.LoadedHigh) == 0)
            throw file.Bad("hdr.loadflags", "asks for a place below 1 MiB (a zImage)", "Use a bzImage");
        bool hasPlace = header.Version >= LinuxBootConst.PrefAddressVersion && header.PrefAddress != 0;
        ulong address = hasPlace ? header.PrefAddress : LinuxBootConst.LoadAddress;
        if (address > uint.MaxValue) throw file.Bad("hdr.pref_address", $"0x{address:x} is above 4 GiB");
        bool wide = header.Version >= LinuxBootConst.LoadFlagsVersion
            && (header.XLoadFlags & (ushort)LinuxXLoadFlags.Kernel64) != 0;
        KernelSegment segment = new(address, code, length, Math.Max(length, header.InitSize));
        return wide
            ? new KernelImage(BootMode.Linux64, address + LinuxBootConst.Entry64, [segment])
            : new KernelImage(BootMode.Linux32, address, [segment]);
    }

    /// <summary>Finds the payload and checks what the header says of it.</summary>
    /// <param name="file">Kernel.</param>
    /// <param name="limit">Bytes of memory below the hole: a kernel that is bigger need not be unpacked.</param>
    /// <exception cref="MicroVmException">The header is not usable; the message names the field.</exception>
    internal static Payload Find(BootFile file, ulong limit)
    {
        BootParams header = Header(file.Prefix);
        if (header.Version < LinuxBootConst.MinVersion)
            throw file.Bad("hdr.version", $"is {header.Version >> 8}.{header.Version & 0xff:d2}, older than 2.08 (Linux 2.6.26)", "Give a newer kernel, or its vmlinux");
        ulong offset = CodeOffset(file, header) + header.PayloadOffset, length = header.PayloadLength;
        if (!file.Has(offset, length))
            throw file.Bad("hdr.payload_length", $"{length} at hdr.payload_offset {header.PayloadOffset} leads outside of {file.Length} bytes", Truncated);
        if (length is < 16 or > MaxPayload) throw file.Bad("hdr.payload_length", $"{length} is outside 16 to {MaxPayload}");
        // Compressed data has no runs of zeros: a hole is what a copy that stopped, or a giant of nothing, looks like.
        if (file.File.FirstHole(offset) < offset + length) throw file.Bad("the payload", "has a hole in it", Truncated);
        return Describe(file, header, offset, length, limit);
    }

    // Where the protected-mode code begins, behind the real-mode code.
    private static ulong CodeOffset(BootFile file, in BootParams header)
    {
        uint sectors = header.SetupSects == 0 ? (uint)LinuxBootConst.DefaultSetupSects : header.SetupSects;
        ulong code = (sectors + 1) * (ulong)LinuxBootConst.SectorSize;
        if (code < file.Length) return code;
        throw file.Bad("hdr.setup_sects", $"{header.SetupSects} leads outside of {file.Length} bytes", Truncated);
    }

    private static Payload Describe(BootFile file, in BootParams header, ulong offset, ulong length, ulong limit)
    {
        int magic = file.Read<ushort>(offset);
        // The format's own last word where that is gzip; appended by the kernel's build to the others.
        ulong unpacked = file.Read<uint>(offset + length - sizeof(uint));
        if (magic is PayloadMagic.Gzip or PayloadMagic.OldGzip) length += sizeof(uint);
        length -= sizeof(uint);
        if (unpacked is < 64 or > MaxUnpacked) throw file.Bad("the payload's last word", $"says that it unpacks to {unpacked} bytes, outside 64 to {MaxUnpacked}", Truncated);
        // Incompressible data grows a little; anything beyond is a lie.
        if (unpacked < length - Math.Min(length, length / 8 + 4096)) throw file.Bad("the payload's last word", $"says that {length} bytes unpack to {unpacked}", Truncated);
        if (unpacked > limit)
        {
            ulong need = Math.Max(unpacked, Sane(header)) + (1 << 20) - 1 >> 20;
            throw file.Bad("the kernel", $"needs {need} MiB of memory, the guest has {limit >> 20} MiB below the hole", $"Give at least --memory {need}M");
        }
        return new Payload(offset, length, unpacked, magic);
    }

    // Only for the words of a message.
    private static ulong Sane(in BootParams header) => header.PrefAddress < MaxUnpacked ? header.PrefAddress + header.InitSize : 0;
}
