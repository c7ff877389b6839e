using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Vsock;
using Xunit;

namespace MicroVm.Tests.Virtio.Lives;

/// <summary>A socket device with streams that wait: one whose host does not read, so that the device holds bytes of the
/// guest, and one whose bytes wait for the guest's buffers.</summary>
internal sealed class VsockLife : DeviceLife
{
    private const uint Cid = 7, Port = 1000, HostPort = 5000, RoomSize = 4096 + 44;
    private const ulong Packets = 0x80_0000, Room = 0x100_0000;
    private const int Header = 44, Rooms = 4;
    private const byte Old = 0x22, New = 0x33;

    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-vsock").FullName;
    private readonly Random _random;
    private readonly string _path;
    private readonly List<int> _sockets = [];
    private int _packets, _listener = -1;

    internal VsockLife(Random random)
    {
        _random = random;
        _path = Path.Combine(_folder, "v");
        Driver = new GuestDriver(VirtioVsockDevice.Open(new VsockOptions(Cid, _path)));
    }

    internal override GuestDriver Driver { get; }

    private GuestQueue Receive => Driver.Queues[VirtioVsock.ReceiveQueue];

    private GuestQueue Transmit => Driver.Queues[VirtioVsock.TransmitQueue];

    protected override void Begin(Step step)
    {
        for (ushort head = 0; head < Rooms; head++) Give(head, Room);
        Receive.Publish();
        Listen();
        Offer(VirtioVsockOperation.Request, 0, Old, Packets);
        Transmit.Publish();
        if (step < Step.Kicked) return;
        Receive.Kick();
        Transmit.Kick();
        if (step < Step.Taken) return;
        Assert.Equal(VirtioVsockOperation.Response, Take(Room).Operation);
        int host = Accept();
        // More than the host's socket holds; the last answer says that all before it was taken.
        for (int i = 0; i < 60; i++)
        {
            Offer(VirtioVsockOperation.Data, _random.Next(1, 4097), Old, Packets);
            Transmit.Publish();
            Transmit.Kick();
            Assert.True(GuestDriver.Eventually(() => Transmit.UsedIndex == Transmit.Next || Driver.NeedsReset));
        }
        // And more than the guest has buffers for.
        byte[] bytes = new byte[2 * Rooms * (int)RoomSize];
        Array.Fill(bytes, Old);
        Assert.Equal(bytes.Length, HostSocket.Send(host, bytes));
        Assert.True(GuestDriver.Eventually(() => Receive.UsedIndex == Rooms));
        if (step == Step.PartlyDone) Assert.True(HostIo.Read(host, new byte[10_000]) > 0);
        if (step == Step.Answered) Assert.True(GuestDriver.Eventually(() => HostIo.Read(host, new byte[1 << 16]) <= 0));
        if (step == Step.Broken) Break(Transmit);
    }

    internal override void Late()
    {
        byte[] bytes = new byte[1 << 16];
        foreach (int host in _sockets)
        {
            // Its stream has ended: what the guest had sent is read, and then the end.
            int count = 0;
            Assert.True(GuestDriver.Eventually(() =>
            {
                count = HostIo.Read(host, bytes);
                if (count > 0) Assert.Equal(-1, bytes.AsSpan(0, count).IndexOf(Fill));
                return count is 0 or -Libc.ECONNRESET;
            }));
            Assert.Contains(HostSocket.Send(host, bytes.AsSpan(0, 100)), new[] { -Libc.EPIPE, -Libc.ECONNRESET });
        }
    }

    internal override void Serve()
    {
        for (ushort head = 0; head < Receive.Size; head++) Give(head, Buffers);
        Receive.Publish();
        Receive.Kick();
        // Nothing comes but what belongs to this stream, which has the ports of the first life's.
        Listen();
        Request(VirtioVsockOperation.Request, 0);
        (VirtioVsockOperation operation, int length, _) = Take(Buffers);
        Assert.Equal((VirtioVsockOperation.Response, 0), (operation, length));
        int host = Accept();
        byte[] bytes = new byte[1 << 16];
        for (int i = 0; i < Transmit.Size; i++)
        {
            Request(VirtioVsockOperation.Data, 300 + i);
            int count = 0;
            Assert.True(GuestDriver.Eventually(() => (count = HostIo.Read(host, bytes)) > 0));
            Assert.Equal((300 + i, -1), (count, bytes.AsSpan(0, count).IndexOfAnyExcept(New)));
            Array.Fill(bytes, New);
            Assert.Equal(500 + i, HostSocket.Send(host, bytes.AsSpan(0, 500 + i)));
            (operation, length, byte last) = Take(Buffers);
            Assert.Equal((VirtioVsockOperation.Data, 500 + i, New), (operation, length, last));
        }
        HostSocket.Close(host);
        _sockets.Remove(host);
    }

    public override void Dispose()
    {
        base.Dispose();
        foreach (int socket in _sockets) HostSocket.Close(socket);
        Unlisten();
        Directory.Delete(_folder, recursive: true);
    }

    // Anew: the first life may have a connection in the backlog, which its device has left.
    private void Listen()
    {
        Unlisten();
        _listener = HostSocket.Listen($"{_path}_{HostPort}");
        Assert.True(_listener >= 0);
    }

    private void Unlisten()
    {
        if (_listener < 0) return;
        HostSocket.Close(_listener);
        HostSocket.Remove($"{_path}_{HostPort}");
        _listener = -1;
    }

    private int Accept()
    {
        int host = HostSocket.Accept(_listener);
        Assert.True(host >= 0);
        _sockets.Add(host);
        return host;
    }

    private void Give(ushort head, ulong at)
    {
        Receive.Describe(head, at + head * 0x2000ul, RoomSize, VirtqDescFlags.Write);
        Receive.Offer(head);
    }

    // The next packet to the guest, whose buffer is given again in the second life only.
    private (VirtioVsockOperation Operation, int Length, byte Last) Take(ulong at)
    {
        VirtqUsedElem used = Receive.Wait()!.Value;
        ulong packet = at + used.Id * 0x2000ul;
        VirtioVsockHeader header = MemoryMarshal.Read<VirtioVsockHeader>(Receive.Bytes(packet, Header));
        Assert.Equal((HostPort, Port, used.Len), (header.SourcePort, header.DestinationPort, Header + header.Length));
        byte last = Receive.Bytes(packet, (int)used.Len)[^1];
        if (at == Buffers)
        {
            Give((ushort)used.Id, at);
            Receive.Publish();
            Receive.Kick();
        }
        return ((VirtioVsockOperation)header.Operation, (int)header.Length, last);
    }

    private void Request(VirtioVsockOperation operation, int length)
    {
        Offer(operation, length, New, Buffers + 0x80_0000);
        Transmit.Publish();
        Transmit.Kick();
        Assert.NotNull(Transmit.Wait());
    }

    private void Offer(VirtioVsockOperation operation, int length, byte fill, ulong at)
    {
        ushort head = (ushort)(_packets++ % Transmit.Size);
        ulong packet = at + head * 0x2000ul;
        Transmit.Ram.Store(packet, new VirtioVsockHeader
        {
            SourceCid = Cid, DestinationCid = VirtioVsockConst.HostCid, SourcePort = Port, DestinationPort = HostPort,
            Length = (uint)length, Type = (ushort)VirtioVsockConst.TypeStream, Operation = (ushort)operation,
            BufferSize = 1 << 20,
        });
        Transmit.Bytes(packet + Header, length).Fill(fill);
        Transmit.Describe(head, packet, Header + (uint)length, VirtqDescFlags.None);
        Transmit.Offer(head);
    }
}
