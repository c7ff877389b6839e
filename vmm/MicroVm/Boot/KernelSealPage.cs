using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Boot;

/// <summary>The last page of a cached kernel: which source it was made from, and what is where. Written last, so that a file without it was never finished.</summary>
internal static class KernelSealPage
{
    internal const int Size = 4096;

    private static int ChecksumOffset => Size - sizeof(ulong);

    /// <summary>Describes a cached kernel; its segments' offsets are not stored, as they follow from the addresses.</summary>
    internal static byte[] Write(BootFile source, KernelImage image, ulong start)
    {
        byte[] page = new byte[Size];
        HostFileStatus s = source.Status;
        KernelSeal seal = new()
        {
            Magic = KernelSealConst.Magic, Version = KernelSealConst.Version, SegmentCount = (uint)image.Segments.Length,
            Device = s.Device, Inode = s.Inode, SourceSize = s.Size, Modified = (ulong)s.Modified, Changed = (ulong)s.Changed,
            Base = start, Entry = image.Entry, Mode = (uint)image.Mode, IsLinux = image.IsLinux ? 1u : 0,
        };
        MemoryMarshal.Write(page, seal);
        for (int i = 0; i < image.Segments.Length; i++)
        {
            KernelSegment k = image.Segments[i];
            KernelSealSegment row = new() { Address = k.Address, FileSize = k.FileSize, MemSize = k.MemSize };
            MemoryMarshal.Write(page.AsSpan(KernelSealConst.Segments + i * Unsafe.SizeOf<KernelSealSegment>()), row);
        }
        Prefix(source).CopyTo(page.AsSpan(KernelSealConst.Prefix));
        BitConverter.TryWriteBytes(page.AsSpan(ChecksumOffset), XxHash3.HashToUInt64(page.AsSpan(0, ChecksumOffset)));
        return page;
    }

    /// <summary>Reads it back; null if it is damaged or was made from anything else than this source as it is now.</summary>
    /// <param name="page">The last page of the cached file.</param>
    /// <param name="source">The kernel that is to be loaded.</param>
    /// <param name="length">Bytes of the cached file before that page.</param>
    /// <param name="start">Guest address of the first byte of the cached file.</param>
    internal static KernelImage? Read(ReadOnlySpan<byte> page, BootFile source, ulong length, out ulong start)
    {
        KernelSeal seal = MemoryMarshal.Read<KernelSeal>(page);
        start = seal.Base;
        HostFileStatus s = source.Status;
        bool same = seal.Magic == KernelSealConst.Magic && seal.Version == KernelSealConst.Version
            && seal.Device == s.Device && seal.Inode == s.Inode && seal.SourceSize == s.Size && seal.Modified == (ulong)s.Modified && seal.Changed == (ulong)s.Changed
            && Prefix(source).SequenceEqual(page.Slice(KernelSealConst.Prefix, Prefix(source).Length))
            && seal.SegmentCount is > 0 and <= KernelSealConst.MaxSegments && seal.Mode is (uint)BootMode.Pvh32 or (uint)BootMode.Linux64
            && BitConverter.ToUInt64(page[ChecksumOffset..]) == XxHash3.HashToUInt64(page[..ChecksumOffset]);
        if (!same) return null;
        var segments = new KernelSegment[seal.SegmentCount];
        for (int i = 0; i < segments.Length; i++)
        {
            var row = MemoryMarshal.Read<KernelSealSegment>(page[(KernelSealConst.Segments + i * Unsafe.SizeOf<KernelSealSegment>())..]);
            ulong offset = row.Address - start;
            bool inside = row.FileSize <= row.MemSize && row.MemSize <= ulong.MaxValue - row.Address && offset <= length && row.FileSize <= length - offset;
            if (!inside && row.FileSize != 0) return null;
            segments[i] = new KernelSegment(row.Address, offset, row.FileSize, row.MemSize);
        }
        return new KernelImage((BootMode)seal.Mode, seal.Entry, segments) { IsLinux = seal.IsLinux != 0 };
    }

    private static ReadOnlySpan<byte> Prefix(BootFile source) => source.Prefix[..Math.Min(source.Prefix.Length, KernelSealConst.PrefixSize)];
}
