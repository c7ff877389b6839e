using System.Runtime.CompilerServices;
using MicroVm.Devices;

namespace MicroVm.Virtio.Net;

/// <summary>Whether a driver may send a frame with this header (Virtio 1.2, 5.1.6.2). Looks at a copy that the guest cannot change any more.</summary>
internal readonly struct FrameCheck(ulong features, MacAddress? pinned)
{
    /// <summary>Bytes that are copied and looked at: the header and the Ethernet header.</summary>
    internal static readonly int HeadLength = Unsafe.SizeOf<VirtioNetHeader>() + (int)VirtioNetConst.EthernetHeader;

    /// <summary>True if the host may see it.</summary>
    /// <param name="header">The header.</param>
    /// <param name="ethernet">The frame's first 14 bytes.</param>
    /// <param name="frame">Bytes of the frame, at least 14.</param>
    internal bool Passes(in VirtioNetHeader header, ReadOnlySpan<byte> ethernet, uint frame)
    {
        if (frame > VirtioNetConst.MaxFrame || header.NumBuffers != 0) return false;
        VirtioNetHeaderFlags flags = (VirtioNetHeaderFlags)header.Flags;
        bool partial = (flags & VirtioNetHeaderFlags.NeedsChecksum) != 0;
        if ((flags & ~VirtioNetHeaderFlags.NeedsChecksum) != 0) return false;
        if (partial && (!Has(VirtioNetFeatures.Checksum) || header.ChecksumStart + header.ChecksumOffset + sizeof(ushort) > frame)) return false;
        if (header.GsoType != (byte)VirtioNetGso.None && (!partial || !MayCut(header, frame))) return false;
        return pinned is not { } mac || MacAddress.From(ethernet[(int)VirtioNetConst.SourceOffset..]) == mac;
    }

    private bool MayCut(in VirtioNetHeader header, uint frame)
    {
        bool ecn = (header.GsoType & VirtioNetConst.GsoEcn) != 0;
        if (header.GsoSize == 0 || header.HeaderLength > frame || (ecn && !Has(VirtioNetFeatures.HostEcn))) return false;
        return (VirtioNetGso)(header.GsoType & ~VirtioNetConst.GsoEcn) switch
        {
            VirtioNetGso.Tcp4 => Has(VirtioNetFeatures.HostTso4),
            VirtioNetGso.Tcp6 => Has(VirtioNetFeatures.HostTso6),
            VirtioNetGso.Datagrams => Has(VirtioNetFeatures.HostUso),
            _ => false,
        };
    }

    private bool Has(VirtioNetFeatures feature) => (features & (ulong)feature) != 0;
}
