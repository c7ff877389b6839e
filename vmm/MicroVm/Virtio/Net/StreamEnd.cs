using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>A stream socket to a program that moves frames (passt, QEMU's <c>-netdev stream</c>): each is preceded by its length, 32 bits, the most significant byte first.</summary>
/// <remarks>Frames are read ahead into a buffer of fixed size. A frame that the socket takes only in part is kept here, so that neither a reset nor the guest can cut the stream in its middle.</remarks>
internal sealed class StreamEnd : INetEnd
{
    private const int Prefix = sizeof(uint), BufferBytes = 128 << 10;
    private static readonly int Header = Unsafe.SizeOf<VirtioNetHeader>(), Headroom = Header - Prefix;

    private readonly byte[] _in = new byte[Headroom + BufferBytes], _tail = new byte[Prefix + (int)VirtioNetConst.MaxFrame];
    private int _start = Headroom, _end = Headroom, _tailStart, _tailEnd;

    /// <summary>Takes a connected socket that never waits.</summary>
    internal StreamEnd(int socket, string name) => (Fd, Name) = (socket, name);

    public int Fd { get; private set; }

    public string Name { get; }

    public bool HasOffloads => false;

    public bool HasDatagramOffload => false;

    public bool HasFrame => NextLength() is { } length && _end - _start - Prefix >= length;

    public bool HasTail => _tailStart != _tailEnd;

    public bool SetOffloads(TapOffloads offloads) => offloads == TapOffloads.None;

    // There is one only.
    public void SetAttached(bool attached) { }

    public int State() => HostIo.HasFailed(Fd) ? Libc.EBADFD : 0;

    public int Receive(PacketVectors into)
    {
        while (true)
        {
            if (NextLength() is { } length)
            {
                // Nothing says where the next frame begins.
                if (length > VirtioNetConst.MaxFrame) return -Libc.ECONNRESET;
                if (_end - _start - Prefix >= length) return Take((int)length, into);
            }
            Compact();
            int got = HostIo.Read(Fd, _in.AsSpan(_end));
            if (got <= 0) return got == 0 ? -Libc.EPIPE : got;
            _end += got;
        }
    }

    public int Send(PacketVectors frame)
    {
        int error = Flush();
        if (error != 0) return -error;
        // The stream has the length where this process has the end of the header, which says nothing without offloads.
        int total = frame.Bytes - Headroom;
        BinaryPrimitives.WriteUInt32BigEndian(frame.Scratch[Headroom..], (uint)(total - Prefix));
        int sent = frame.Write(Fd, Headroom);
        if (sent < 0 || sent == total) return sent;
        (_tailStart, _tailEnd) = (0, frame.CopyTo(_tail, Headroom + sent));
        return total;
    }

    public int Flush()
    {
        while (HasTail)
        {
            int sent = HostIo.Write(Fd, _tail.AsSpan(_tailStart, _tailEnd - _tailStart));
            if (sent < 0) return -sent;
            _tailStart += sent;
        }
        return 0;
    }

    public void Dispose()
    {
        if (Fd >= 0) HostSocket.Close(Fd);
        Fd = -1;
    }

    private uint? NextLength() => _end - _start < Prefix ? null : BinaryPrimitives.ReadUInt32BigEndian(_in.AsSpan(_start));

    // The length's place, and what was read before it, become the header: what a stream carries needs nothing done to it.
    private int Take(int length, PacketVectors into)
    {
        Span<byte> packet = _in.AsSpan(_start - Headroom, Header + length);
        packet[..Header].Clear();
        into.Fill(packet);
        _start += Prefix + length;
        if (_start == _end) _start = _end = Headroom;
        return packet.Length;
    }

    // Less than a frame is left, and the buffer holds two.
    private void Compact()
    {
        if (_start == Headroom) return;
        _in.AsSpan(_start, _end - _start).CopyTo(_in.AsSpan(Headroom));
        (_start, _end) = (Headroom, Headroom + _end - _start);
    }
}
