using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Virtio.Queue;

/// <summary>Follows a chain of descriptors. Each is copied once and only the copy is looked at; what it names is checked before anybody sees it.</summary>
internal sealed class ChainWalker(QueueSetup queue, GuestMemory memory)
{
    private static readonly uint DescriptorSize = (uint)Unsafe.SizeOf<VirtqDesc>();

    private readonly HostRange[] _segments = new HostRange[Math.Max(queue.Size, queue.MaxSize)];
    private ushort _head;
    private int _count, _readable;
    private ulong _readableBytes, _writableBytes;

    /// <summary>Reads the chain that starts at <paramref name="head"/>; its buffers stay in this object until the next call.</summary>
    internal QueueFault Walk(ushort head, ref Chain chain)
    {
        _head = head;
        _count = _readable = 0;
        _readableBytes = _writableBytes = 0;
        QueueFault fault = WalkTable(queue.Descriptors, queue.Size, head, indirect: false);
        if (fault != QueueFault.None) return fault;
        chain.Head = head;
        chain.Readable = new Segments(_segments.AsSpan(0, _readable), (uint)_readableBytes);
        chain.Writable = new Segments(_segments.AsSpan(_readable, _count - _readable), (uint)_writableBytes);
        return QueueFault.None;
    }

    // Recursion is one deep: an indirect table holds no indirect descriptor.
    private QueueFault WalkTable(HostRange table, uint entries, uint index, bool indirect)
    {
        uint budget = indirect ? (uint)_segments.Length : queue.Size;
        while (true)
        {
            if (index >= entries) return QueueFault.NoSuchDescriptor;
            if (budget-- == 0) return QueueFault.ChainTooLong;
            VirtqDesc descriptor = table.Load<VirtqDesc>(index * DescriptorSize);
            VirtqDescFlags flags = (VirtqDescFlags)descriptor.Flags;
            if ((flags & VirtqDescFlags.Indirect) != 0) return indirect ? QueueFault.IndirectNotAllowed : WalkIndirect(descriptor, flags);
            QueueFault fault = Append(descriptor, (flags & VirtqDescFlags.Write) != 0);
            if (fault != QueueFault.None || (flags & VirtqDescFlags.Next) == 0) return fault;
            index = descriptor.Next;
        }
    }

    private QueueFault WalkIndirect(in VirtqDesc descriptor, VirtqDescFlags flags)
    {
        if (!queue.Indirect || (flags & VirtqDescFlags.Next) != 0) return QueueFault.IndirectNotAllowed;
        uint entries = descriptor.Len / DescriptorSize;
        if (entries == 0 || entries > VirtqConst.MaxSize || descriptor.Len % DescriptorSize != 0) return QueueFault.BadIndirectTable;
        return TryPiece(descriptor.Addr, descriptor.Len, write: false, out HostRange table) && table.Length == descriptor.Len
            ? WalkTable(table, entries, 0, indirect: true)
            : QueueFault.BadIndirectTable;
    }

    private QueueFault Append(in VirtqDesc descriptor, bool writable)
    {
        if (_count == _segments.Length) return QueueFault.ChainTooLong;
        if (!writable && _count != _readable) return QueueFault.WrongOrder;
        QueueFault fault = AppendPieces(descriptor.Addr, descriptor.Len, writable);
        if (fault != QueueFault.None) return fault;
        if (writable) _writableBytes += descriptor.Len;
        else
        {
            _readableBytes += descriptor.Len;
            _readable = _count;
        }
        // 2.7.5.2: the bytes of a chain are counted in 32 bits.
        return _readableBytes + _writableBytes > uint.MaxValue ? QueueFault.ChainTooLarge : QueueFault.None;
    }

    // One piece, but behind an IOMMU, where what is in one piece for the device may be in several for the guest.
    private QueueFault AppendPieces(ulong address, uint length, bool writable)
    {
        HostRange piece = default;
        uint left = length;
        do
        {
            if (_count == _segments.Length) return QueueFault.ChainTooLong;
            if (left != 0 && !TryPiece(address, left, writable, out piece)) return QueueFault.BufferOutsideRam;
            _segments[_count++] = piece;
            address += piece.Length;
            left -= (uint)piece.Length;
        }
        while (left != 0);
        return QueueFault.None;
    }

    private bool TryPiece(ulong address, uint length, bool write, out HostRange piece)
    {
        if (queue.Behind is not { } behind) return memory.TryRange(address, length, out piece);
        queue.Traffic!.Widen(_head, address, length);
        return behind.TryTranslate(address, length, write, out piece);
    }
}
