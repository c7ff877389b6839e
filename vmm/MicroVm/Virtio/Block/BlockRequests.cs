using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Block;

/// <summary>Serves block requests one after the other (Virtio 1.2, 5.2.6). The header is copied once; the whole request is checked against the capacity before a byte moves.</summary>
/// <param name="disk">The image.</param>
/// <param name="segments">Most segments of data in a request.</param>
/// <param name="writeThrough">The driver does not flush, so every write is made durable at once (5.2.5, without VIRTIO_BLK_F_FLUSH).</param>
internal sealed class BlockRequests(FileBackend disk, int segments, bool writeThrough) : IChainHandler
{
    private readonly IoVectors _vectors = new(segments);

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        if (!chain.Writable.TryTakeLastByte(out Memory.HostRange answer)) return false;
        VirtioBlockHeader header = default;
        bool whole = chain.Readable.TryTake(MemoryMarshal.AsBytes(new Span<VirtioBlockHeader>(ref header)));
        VirtioBlockStatus status = whole ? Perform(header, ref chain, ref written) : VirtioBlockStatus.IoErr;
        if (status != VirtioBlockStatus.Ok) written = 0;
        answer.Store(0, (byte)status);
        written++;
        return true;
    }

    private VirtioBlockStatus Perform(in VirtioBlockHeader header, ref Chain chain, ref uint written)
    {
        bool ok;
        switch ((VirtioBlockType)header.Type)
        {
            case VirtioBlockType.In:
                written = chain.Writable.Length;
                ok = Prepare(chain.Writable, header.Sector) && chain.Readable.Length == 0 && disk.Read(_vectors, header.Sector, written);
                break;
            case VirtioBlockType.Out:
                ok = !disk.ReadOnly && Prepare(chain.Readable, header.Sector) && chain.Writable.Length == 0
                    && disk.Write(_vectors, header.Sector, chain.Readable.Length) && (!writeThrough || disk.Flush());
                break;
            case VirtioBlockType.Flush:
                ok = disk.Flush();
                break;
            case VirtioBlockType.GetId:
                ok = chain.Writable.Length >= VirtioBlockConst.IdLength;
                if (ok) written = chain.Writable.Fill(disk.Serial);
                break;
            default:
                return VirtioBlockStatus.Unsupported;
        }
        return ok ? VirtioBlockStatus.Ok : VirtioBlockStatus.IoErr;
    }

    private bool Prepare(in Segments data, ulong sector)
    {
        uint length = data.Length;
        if (length == 0 || length % VirtioBlockConst.SectorSize != 0 || !disk.Contains(sector, length / VirtioBlockConst.SectorSize)) return false;
        int used = 0;
        foreach (ref readonly Memory.HostRange range in data.List) if (range.Length != 0) used++;
        if (used > segments) return false;
        _vectors.Set(data.List);
        return true;
    }
}
