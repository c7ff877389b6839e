using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Block;

/// <summary>Reads requests (Virtio 1.2, 5.2.6). The header is copied once; the whole request is checked against the capacity before a byte moves.</summary>
/// <param name="disk">The image.</param>
/// <param name="vectors">Take the buffers.</param>
/// <param name="features">Features agreed on.</param>
/// <param name="config">Where the driver chooses the cache's mode.</param>
internal sealed class BlockCommands(FileBackend disk, TransferVectors vectors, ulong features, VirtioBlockConfig config)
{
    private bool Agreed(VirtioBlockFeatures feature) => (features & (ulong)feature) != 0;

    // 5.2.5: a driver that does not flush, or says so, wants every write durable when it is answered.
    private bool WritesThrough => !Agreed(VirtioBlockFeatures.Flush) || (Agreed(VirtioBlockFeatures.ConfigWce) && !config.WritesBack);

    /// <summary>Copies and checks a request whose status byte was taken off; null if the host has something to do for it, else what to answer.</summary>
    internal VirtioBlockStatus? Read(ref Chain chain, int row, ref BlockRequest request)
    {
        VirtioBlockHeader header = default;
        if (!chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioBlockHeader>(ref header)))) return VirtioBlockStatus.IoErr;
        request.Type = (VirtioBlockType)header.Type;
        switch (request.Type)
        {
            case VirtioBlockType.In:
                request.Operation = BlockOperation.Read;
                request.Written = chain.Writable.Length;
                return chain.Readable.Length == 0 ? Transfer(chain.Writable, header.Sector, row, ref request) : VirtioBlockStatus.IoErr;
            case VirtioBlockType.Out:
                request.Operation = WritesThrough ? BlockOperation.WriteThrough : BlockOperation.Write;
                return !disk.ReadOnly && chain.Writable.Length == 0 ? Transfer(chain.Readable, header.Sector, row, ref request) : VirtioBlockStatus.IoErr;
            case VirtioBlockType.Flush:
                request.Operation = BlockOperation.Flush;
                return disk.ReadOnly ? VirtioBlockStatus.IoErr : null;
            case VirtioBlockType.GetId:
                if (chain.Writable.Length < VirtioBlockConst.IdLength) return VirtioBlockStatus.IoErr;
                request.Written = chain.Writable.Fill(disk.Serial);
                return VirtioBlockStatus.Ok;
            case VirtioBlockType.Discard when Agreed(VirtioBlockFeatures.Discard):
                return Range(ref chain, discard: true, ref request);
            case VirtioBlockType.WriteZeroes when Agreed(VirtioBlockFeatures.WriteZeroes):
                return Range(ref chain, discard: false, ref request);
            default:
                return VirtioBlockStatus.Unsupported;
        }
    }

    private VirtioBlockStatus? Transfer(in Segments data, ulong sector, int row, ref BlockRequest request)
    {
        uint length = data.Length;
        if (length == 0 || length % VirtioBlockConst.SectorSize != 0 || !disk.Contains(sector, length / VirtioBlockConst.SectorSize)) return VirtioBlockStatus.IoErr;
        (request.Offset, request.Left) = (sector * VirtioBlockConst.SectorSize, length);
        return vectors.TrySet(row, data.List) ? null : VirtioBlockStatus.IoErr;
    }

    private VirtioBlockStatus? Range(ref Chain chain, bool discard, ref BlockRequest request)
    {
        VirtioBlockRange range = default;
        // One segment, neither less nor more.
        bool one = chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioBlockRange>(ref range))) && chain.Readable.Length == 0;
        if (!one || chain.Writable.Length != 0 || disk.ReadOnly) return VirtioBlockStatus.IoErr;
        VirtioBlockRangeFlags flags = (VirtioBlockRangeFlags)range.Flags;
        // 5.2.6.2: a flag that is not known, and the one of zeroes with a discard, are not supported.
        if ((flags & ~VirtioBlockRangeFlags.Unmap) != 0 || (discard && flags != 0)) return VirtioBlockStatus.Unsupported;
        uint most = (uint)(discard ? VirtioBlockConst.MaxDiscardSectors : VirtioBlockConst.MaxWriteZeroesSectors);
        if (range.Count == 0 || range.Count > most || !disk.Contains(range.Sector, range.Count)) return VirtioBlockStatus.IoErr;
        request.Operation = discard || flags != 0 ? BlockOperation.PunchHole : BlockOperation.ZeroRange;
        request.Durable = WritesThrough;
        (request.Offset, request.Left) = (range.Sector * VirtioBlockConst.SectorSize, range.Count * (ulong)VirtioBlockConst.SectorSize);
        return null;
    }
}
