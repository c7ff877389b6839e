using System.Runtime.InteropServices;
using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>Pieces of guest memory in a row, for transfers of whole packets without a copy, after a little memory of this process. Made once; allocates nothing afterwards.</summary>
internal sealed unsafe class PacketVectors(int scratchBytes)
{
    /// <summary>Most pieces of one transfer (UIO_MAXIOV), one kept for the spill.</summary>
    internal const int Capacity = 1023;

    private readonly Libc.IoVec[] _list = new Libc.IoVec[Capacity + 1];
    private readonly byte[] _scratch = GC.AllocateArray<byte>(scratchBytes, pinned: true);
    private int _start, _count;

    /// <summary>Pieces.</summary>
    internal int Count => _count;

    /// <summary>Memory of this process that does not move.</summary>
    internal Span<byte> Scratch => _scratch;

    /// <summary>Forgets all pieces.</summary>
    internal void Clear() => _start = _count = 0;

    /// <summary>Appends the scratch memory.</summary>
    internal void AddScratch(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, _scratch.Length);
        // SAFETY: pinned for the life of this object.
        Append(new Libc.IoVec { Base = (void*)Marshal.UnsafeAddrOfPinnedArrayElement(_scratch, 0), Length = (nuint)length });
    }

    /// <summary>Appends guest memory; empty ranges are left out.</summary>
    internal void Add(HostRange range)
    {
        // SAFETY: checked guest memory, which outlives the transfer: a device is reset before the memory goes.
        if (range.Length != 0) Append(new Libc.IoVec(range));
    }

    /// <summary>Drops the first pieces.</summary>
    internal void Drop(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)_count);
        _start += count;
        _count -= count;
        if (_count == 0) _start = 0;
    }

    /// <summary>Sends all pieces as one packet; bytes sent or minus the error number.</summary>
    internal int Write(int fd)
    {
        fixed (Libc.IoVec* list = &_list[_start])
        {
            nint n;
            do n = Libc.writev(fd, list, _count); while (n < 0 && Libc.Errno == Libc.EINTR);
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    /// <summary>Receives one packet; what does not fit goes to the scratch memory, so that more bytes than the pieces hold mean a packet too large.</summary>
    internal int Read(int fd)
    {
        if (_start + _count >= _list.Length) Compact();
        fixed (Libc.IoVec* list = &_list[_start])
        fixed (byte* spill = _scratch)
        {
            list[_count] = new Libc.IoVec { Base = spill, Length = (nuint)_scratch.Length };
            nint n;
            do n = Libc.readv(fd, list, _count + 1); while (n < 0 && Libc.Errno == Libc.EINTR);
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    private void Append(in Libc.IoVec piece)
    {
        if (_start + _count == Capacity) Compact();
        _list[_start + _count++] = piece;
    }

    private void Compact()
    {
        _list.AsSpan(_start, _count).CopyTo(_list);
        _start = 0;
    }
}
