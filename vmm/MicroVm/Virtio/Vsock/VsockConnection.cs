using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Vsock;

/// <summary>How far a connection has come.</summary>
internal enum VsockState : byte
{
    /// <summary>The slot is free.</summary>
    Free,
    /// <summary>The host has connected and not yet said to which port.</summary>
    Greeting,
    /// <summary>The guest was asked.</summary>
    Asked,
    /// <summary>Bytes flow.</summary>
    Open,
    /// <summary>Gone on this side; the guest is still to hear of it.</summary>
    Closed,
}

/// <summary>What the guest is to be told of a connection, the first of these first.</summary>
[Flags]
internal enum VsockNews : byte
{
    None = 0,
    Reset = 1,
    Response = 2,
    Request = 4,
    Data = 8,
    Shutdown = 16,
    Credit = 32,
    AskCredit = 64,
}

/// <summary>One stream between a port of the guest and a socket of the host. Used on the device's thread only.</summary>
/// <remarks>Bytes from the guest that the host does not read yet are kept up to what was promised to the guest, bytes to the guest never: they stay in the socket until the guest has room.</remarks>
internal sealed class VsockConnection(int slot)
{
    private const int BufferSize = (int)VirtioVsockConst.BufferSize;

    private byte[]? _buffer;
    private int _head, _count;
    private uint _fromGuest, _forwarded, _lastForwarded, _toGuest, _guestBuffer, _guestForwarded;

    internal int Slot => slot;

    internal VsockState State { get; set; }

    /// <summary>The host's socket, or -1.</summary>
    internal int Socket { get; private set; } = -1;

    internal uint HostPort { get; private set; }

    internal uint GuestPort { get; private set; }

    internal VsockNews News { get; set; }

    /// <summary>Found by its ports.</summary>
    internal bool Registered { get; set; }

    /// <summary>In the list of those with news.</summary>
    internal bool Queued { get; set; }

    /// <summary>The guest ended its stream; told to the socket once all before it is there.</summary>
    internal bool GuestEnded { get; private set; }

    /// <summary>The host ended its stream, or the guest takes no more.</summary>
    internal bool HostEnded { get; set; }

    /// <summary>Both directions ended on the host's side.</summary>
    internal bool HostGone { get; set; }

    /// <summary>Bytes wait for the host to read.</summary>
    internal bool Blocked => _count != 0;

    /// <summary>Bytes that the guest has room for.</summary>
    internal uint Credit => _guestBuffer > _toGuest - _guestForwarded ? _guestBuffer - (_toGuest - _guestForwarded) : 0;

    internal uint Forwarded => _forwarded;

    /// <summary>Line of the host before the stream, or what there is of it.</summary>
    internal VsockGreeting Greeting { get; } = new();

    internal void Begin(int socket, VsockState state, uint hostPort = 0, uint guestPort = 0)
    {
        (Socket, State, HostPort, GuestPort) = (socket, state, hostPort, guestPort);
        (_head, _count, _fromGuest, _forwarded, _lastForwarded, _toGuest, _guestBuffer, _guestForwarded) = (0, 0, 0, 0, 0, 0, 0, 0);
        (GuestEnded, HostEnded, HostGone, News) = (false, false, false, VsockNews.None);
        Greeting.Clear();
    }

    internal void Name(uint hostPort, uint guestPort) => (HostPort, GuestPort) = (hostPort, guestPort);

    internal void CloseSocket()
    {
        if (Socket >= 0) HostSocket.Close(Socket);
        Socket = -1;
        _count = 0;
    }

    internal void TakeCredit(in VirtioVsockHeader header) => (_guestBuffer, _guestForwarded) = (header.BufferSize, header.Forwarded);

    internal void CountToGuest(uint bytes) => _toGuest += bytes;

    /// <summary>Says what the guest may send; the guest has heard it then.</summary>
    internal void Promise(ref VirtioVsockHeader header) => (header.BufferSize, header.Forwarded, _lastForwarded) = ((uint)BufferSize, _forwarded, _forwarded);

    /// <summary>The guest knows of so little room that it might wait without need.</summary>
    internal bool OwesCredit => _forwarded - _lastForwarded >= BufferSize / 4;

    /// <summary>Takes bytes of the guest; false if it sent more than it may, or the socket is gone.</summary>
    internal bool TakeFromGuest(ReadOnlySpan<byte> bytes)
    {
        if ((uint)bytes.Length > BufferSize - (_fromGuest - _forwarded) || GuestEnded) return false;
        _fromGuest += (uint)bytes.Length;
        int sent = _count != 0 ? 0 : HostSocket.Send(Socket, bytes);
        if (sent < 0 && sent != -Libc.EAGAIN) return false;
        if (sent > 0)
        {
            _forwarded += (uint)sent;
            bytes = bytes[sent..];
        }
        Keep(bytes);
        return true;
    }

    /// <summary>Gives the socket what waits; false if it is gone.</summary>
    internal bool Flush()
    {
        while (_count != 0)
        {
            int sent = HostSocket.Send(Socket, _buffer.AsSpan(_head, Math.Min(_count, BufferSize - _head)));
            if (sent == -Libc.EAGAIN) return true;
            if (sent <= 0) return false;
            _head = (_head + sent) & (BufferSize - 1);
            _count -= sent;
            _forwarded += (uint)sent;
        }
        if (GuestEnded) HostSocket.EndOutput(Socket);
        return true;
    }

    /// <summary>The guest sends no more.</summary>
    internal void EndGuest()
    {
        if (GuestEnded) return;
        GuestEnded = true;
        if (_count == 0) HostSocket.EndOutput(Socket);
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        _buffer ??= new byte[BufferSize];
        int tail = (_head + _count) & (BufferSize - 1), first = Math.Min(bytes.Length, BufferSize - tail);
        bytes[..first].CopyTo(_buffer.AsSpan(tail));
        bytes[first..].CopyTo(_buffer);
        _count += bytes.Length;
    }
}
