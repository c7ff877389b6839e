using System.Net.Sockets;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Virtio.Vsock;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>A socket device at a path of its own, and a driver that sends it packets, legal or not.</summary>
internal sealed class VsockGuest : IDisposable
{
    internal const uint Cid = 7, Port = 1000;
    internal const ulong PacketAt = 0x80_0000;
    private const ulong BufferAt = 0x100_0000, BufferSize = 0x1_0000;

    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-vsock").FullName;
    private int _buffers;

    internal VsockGuest(bool buffers = true)
    {
        Path = System.IO.Path.Combine(_folder, "v");
        Device = VirtioVsockDevice.Open(new VsockOptions(Cid, Path));
        Driver = new GuestDriver(Device).Start(128);
        if (buffers) GiveBuffers(64);
    }

    internal string Path { get; }
    internal VirtioVsockDevice Device { get; }
    internal GuestDriver Driver { get; }
    internal GuestQueue Receive => Driver.Queues[VirtioVsock.ReceiveQueue];
    internal GuestQueue Transmit => Driver.Queues[VirtioVsock.TransmitQueue];

    internal void GiveBuffers(int count)
    {
        for (int i = 0; i < count; i++, _buffers++) Give((ushort)(_buffers % 64));
        Receive.Kick();
    }

    internal Socket Listen(uint port)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint($"{Path}_{port}"));
        socket.Listen(100);
        return socket;
    }

    internal Socket Connect()
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 5000 };
        socket.Connect(new UnixDomainSocketEndPoint(Path));
        return socket;
    }

    /// <summary>Sends one packet; false if the device broke.</summary>
    internal bool Send(VirtioVsockOperation operation, uint hostPort, uint guestPort, ReadOnlySpan<byte> data = default, Func<VirtioVsockHeader, VirtioVsockHeader>? change = null, uint forwarded = 0)
    {
        VirtioVsockHeader header = new()
        {
            SourceCid = Cid, DestinationCid = VirtioVsockConst.HostCid, SourcePort = guestPort, DestinationPort = hostPort, Length = (uint)data.Length,
            Type = (ushort)VirtioVsockConst.TypeStream, Operation = (ushort)operation, BufferSize = 1 << 20, Forwarded = forwarded,
        };
        if (change is not null) header = change(header);
        Transmit.Ram.Store(PacketAt, header);
        data.CopyTo(Transmit.Bytes(PacketAt + 44, data.Length));
        if (data.IsEmpty) Transmit.DescribeChain(0, null, new Buffer(PacketAt, 44, false));
        else Transmit.DescribeChain(0, null, new(PacketAt, 44, false), new(PacketAt + 44, (uint)data.Length, false));
        return Transmit.Transact(0) is not null;
    }

    /// <summary>The next packet to the guest; its buffer is given again.</summary>
    internal (VirtioVsockHeader Header, byte[] Data) Next(int milliseconds = 5000)
    {
        (VirtioVsockHeader, byte[]) packet = default;
        Assert.True(GuestDriver.Eventually(() => TryNext(out packet), milliseconds), "no packet came");
        return packet;
    }

    /// <summary>The same, if there is one now.</summary>
    internal bool TryNext(out (VirtioVsockHeader Header, byte[] Data) packet)
    {
        packet = default;
        if (!Receive.TryTakeUsed(out VirtqUsedElem used)) return false;
        ulong at = BufferAt + used.Id * BufferSize;
        VirtioVsockHeader header = MemoryMarshal.Read<VirtioVsockHeader>(Receive.Bytes(at, 44));
        byte[] data = Receive.Bytes(at + 44, (int)used.Len - 44).ToArray();
        Assert.Equal(header.Length, (uint)data.Length);
        Give((ushort)used.Id);
        Receive.Kick();
        packet = (header, data);
        return true;
    }

    internal VirtioVsockHeader Expect(VirtioVsockOperation operation)
    {
        VirtioVsockHeader header = Next().Header;
        Assert.Equal(operation, (VirtioVsockOperation)header.Operation);
        Assert.Equal((VirtioVsockConst.HostCid, Cid), ((long)header.SourceCid, (uint)header.DestinationCid));
        return header;
    }

    /// <summary>A connection from the guest to a socket of the host.</summary>
    internal Socket Open(uint hostPort, uint guestPort = Port)
    {
        using Socket listener = Listen(hostPort);
        Assert.True(Send(VirtioVsockOperation.Request, hostPort, guestPort));
        Expect(VirtioVsockOperation.Response);
        Socket socket = listener.Accept();
        socket.ReceiveTimeout = 5000;
        File.Delete($"{Path}_{hostPort}");
        return socket;
    }

    public void Dispose()
    {
        Driver.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private void Give(ushort index)
    {
        Receive.Describe(index, BufferAt + index * BufferSize, 4096 + 44, VirtqDescFlags.Write);
        Receive.Submit(index);
    }
}
