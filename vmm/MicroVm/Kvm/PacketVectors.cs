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

    /// <summary>Bytes of all pieces.</summary>
    internal int Bytes
    {
        get
        {
            nuint sum = 0;
            for (int i = _start; i < _start + _count; i++) sum += _list[i].Length;
            return checked((int)sum);
        }
    }

    /// <summary>Sends all pieces as one packet; bytes sent or minus the error number.</summary>
    /// <param name="fd">Where to.</param>
    /// <param name="skip">Bytes of the first piece that are left out.</param>
    internal int Write(int fd, int skip = 0)
    {
        Libc.IoVec first = _list[_start];
        ArgumentOutOfRangeException.ThrowIfGreaterThan((nuint)skip, first.Length);
        fixed (Libc.IoVec* list = &_list[_start])
        {
            *list = new Libc.IoVec { Base = (byte*)first.Base + skip, Length = first.Length - (nuint)skip };
            nint n;
            do n = Libc.writev(fd, list, _count); while (n < 0 && Libc.Errno == Libc.EINTR);
            *list = first;
            return n < 0 ? -Libc.Errno : (int)n;
        }
    }

    /// <summary>Copies the pieces from a byte on, as many as fit; answers how many.</summary>
    internal int CopyTo(Span<byte> into, int from)
    {
        int done = 0;
        foreach (ref readonly Libc.IoVec piece in _list.AsSpan(_start, _count))
        {
            int skip = (int)Math.Min((nuint)from, piece.Length), part = Math.Min(into.Length - done, (int)piece.Length - skip);
            // SAFETY: checked guest memory or the scratch; both counts end inside the piece.
            new ReadOnlySpan<byte>((byte*)piece.Base + skip, part).CopyTo(into[done..]);
            from -= skip;
            done += part;
        }
        return done;
    }

    /// <summary>Copies a packet into the pieces, as far as they reach.</summary>
    internal void Fill(ReadOnlySpan<byte> packet)
    {
        foreach (ref readonly Libc.IoVec piece in _list.AsSpan(_start, _count))
        {
            int part = (int)Math.Min((nuint)packet.Length, piece.Length);
            // SAFETY: checked guest memory or the scratch; the count ends inside the piece.
            packet[..part].CopyTo(new Span<byte>(piece.Base, part));
            packet = packet[part..];
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
