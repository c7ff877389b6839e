using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Iommu;

/// <summary>Reads requests, has the table do them and answers. A request is copied once; fields that must be 0 are looked at.</summary>
internal sealed class IommuRequests(IommuTable table, int probeSize) : IChainHandler
{
    private readonly byte[] _answer = new byte[probeSize + VirtioIommuConst.Tail];

    public bool Serve(ref Chain chain, out uint written)
    {
        written = 0;
        if (chain.Writable.Length < VirtioIommuConst.Tail) return false;
        Span<byte> request = stackalloc byte[Unsafe.SizeOf<VirtioIommuProbe>()];
        uint length = Math.Min(chain.Readable.Length, (uint)request.Length);
        Span<byte> bytes = request[..(int)length];
        _ = chain.Readable.TryTake(bytes);
        // The answer is the status alone, or as much room for properties as the driver gave, and the status behind it.
        Span<byte> answer = _answer;
        answer.Clear();
        int properties = length > 0 && bytes[0] == (byte)VirtioIommuRequest.Probe ? (int)Math.Min(chain.Writable.Length - VirtioIommuConst.Tail, (uint)probeSize) : 0;
        VirtioIommuStatus status = Do(bytes, answer[..properties]);
        answer[properties] = (byte)status;
        written = chain.Writable.Fill(answer[..(properties + VirtioIommuConst.Tail)]);
        return true;
    }

    private VirtioIommuStatus Do(ReadOnlySpan<byte> bytes, Span<byte> properties) => bytes.IsEmpty ? VirtioIommuStatus.Invalid : (VirtioIommuRequest)bytes[0] switch
    {
        VirtioIommuRequest.Attach => TryAs(bytes, out VirtioIommuAttach r) && r.Reserved == 0 ? table.Attach(r.Domain, r.Endpoint, r.Flags) : VirtioIommuStatus.Invalid,
        VirtioIommuRequest.Detach => TryAs(bytes, out VirtioIommuDetach r) && r.Reserved == 0 ? table.Detach(r.Domain, r.Endpoint) : VirtioIommuStatus.Invalid,
        VirtioIommuRequest.Map => TryAs(bytes, out VirtioIommuMap r)
            ? table.Map(r.Domain, new IommuMapping(r.First, r.Last, r.Physical, (VirtioIommuAccess)r.Flags)) : VirtioIommuStatus.Invalid,
        VirtioIommuRequest.Unmap => TryAs(bytes, out VirtioIommuUnmap r) && r.Reserved == 0 ? table.Unmap(r.Domain, r.First, r.Last) : VirtioIommuStatus.Invalid,
        VirtioIommuRequest.Probe => TryAs(bytes, out VirtioIommuProbe r) ? Probe(r.Endpoint, properties) : VirtioIommuStatus.Invalid,
        _ => VirtioIommuStatus.Unsupported,
    };

    // Ranges that do not fit are left out: the driver then learns of them by the refusal.
    private VirtioIommuStatus Probe(uint endpoint, Span<byte> properties)
    {
        if (table.HolesOf(endpoint) is not { } holes) return VirtioIommuStatus.NoEntry;
        Add(ref properties, VirtioIommuConst.MsiFirst, VirtioIommuConst.MsiLast, VirtioIommuConst.ReservedMsi);
        foreach ((ulong first, ulong last) in holes) Add(ref properties, first, last, 0);
        return VirtioIommuStatus.Ok;
    }

    private static void Add(ref Span<byte> properties, ulong first, ulong last, byte subtype)
    {
        int size = Unsafe.SizeOf<VirtioIommuReserved>();
        if (properties.Length < size) return;
        MemoryMarshal.Write(properties, new VirtioIommuReserved
        {
            Type = VirtioIommuConst.PropertyReserved, Length = (ushort)(size - 2 * sizeof(ushort)), Subtype = subtype, First = first, Last = last,
        });
        properties = properties[size..];
    }

    private static bool TryAs<T>(ReadOnlySpan<byte> bytes, out T request) where T : unmanaged => MemoryMarshal.TryRead(bytes, out request);
}
