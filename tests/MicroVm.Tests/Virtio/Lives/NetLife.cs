using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Net;
using Xunit;

namespace MicroVm.Tests.Virtio.Lives;

/// <summary>A network device at a pair of sockets that keep packets apart. The one to the host is full, so that the
/// first frame is held.</summary>
internal sealed class NetLife : DeviceLife
{
    private const ulong Frames = 0x80_0000, Room = 0x100_0000;
    private const uint Header = 12, RoomSize = 1526;
    private const byte Filler = 0x11, Old = 0x22, New = 0x33;

    private readonly Random _random;
    private readonly int _host;
    private readonly VirtioNetDevice _device;

    internal NetLife(Random random)
    {
        _random = random;
        (int device, _host) = NetGuest.Pair();
        byte[] filler = new byte[1000];
        Array.Fill(filler, Filler);
        while (HostIo.Write(device, filler) > 0) { }
        Assert.True(MacAddress.TryParse(NetGuest.Mac, out MacAddress mac));
        _device = VirtioNetDevice.Open(new NetOptions { Descriptors = [device], Mac = mac });
        _ = Libc.close(device);
        Driver = new GuestDriver(_device);
    }

    internal override GuestDriver Driver { get; }

    private GuestQueue Receive => Driver.Queues[VirtioNet.ReceiveQueue];

    private GuestQueue Transmit => Driver.Queues[VirtioNet.TransmitQueue];

    protected override void Begin(Step step)
    {
        for (ushort head = 0; head < Receive.Size; head++)
        {
            Give(Receive, head, Room);
            Send(head, (uint)_random.Next(60, 1500), Old, Frames);
        }
        Receive.Publish();
        Transmit.Publish();
        if (step < Step.Kicked) return;
        Receive.Kick();
        Transmit.Kick();
        if (step < Step.Taken) return;
        // A frame that came is there, so buffers have been taken ahead for the next; and what was rung before is done
        // before the control queue answers.
        Assert.True(HostWrites(Old));
        Assert.NotNull(Receive.Wait());
        Control();
        if (step == Step.PartlyDone) DrainUntil(10);
        if (step == Step.Answered) DrainUntil(Transmit.Size);
        if (step == Step.Broken) Break(Driver.Queues[VirtioNet.ControlQueue]);
    }

    // Room for what was held, and frames for the buffers that were taken. What is sent now was not sent by the first
    // life.
    internal override void Late()
    {
        bool poisoned = false;
        byte[] frame = new byte[1 << 16];
        while (HostIo.Read(_host, frame) is var n and > 0) poisoned |= frame.AsSpan(0, n).Contains(Fill);
        Assert.False(poisoned, "a frame was sent out of memory that the reset took away");
        for (int i = 0; i < 3; i++) Assert.True(HostWrites(Old));
    }

    internal override void Serve()
    {
        for (ushort head = 0; head < Transmit.Size; head++) Send(head, 200u + head, New, Buffers);
        Transmit.Publish();
        Transmit.Kick();
        int sent = 0;
        byte[] frame = new byte[1 << 16];
        Assert.True(GuestDriver.Eventually(() =>
        {
            while (HostIo.Read(_host, frame) is var n and > 0)
            {
                byte last = frame[n - 1];
                Assert.NotEqual(Fill, last);
                // Frames that went before the reset may still lie in the socket; none comes behind the first of the new
                // ones.
                if (last != New) Assert.Equal(0, sent);
                else Assert.Equal((int)Header + 200 + sent++, n);
            }
            return sent == Transmit.Size;
        }));
        // Wait for the last answer: a driver that sees it may use the ring again.
        Assert.True(GuestDriver.Eventually(() => Transmit.UsedIndex == Transmit.Size));
        Assert.True(HostWrites(New));
        byte got = 0;
        for (ushort head = 0; head < Receive.Size; head++) Give(Receive, head, Buffers + 0x10_0000);
        Receive.Publish();
        Receive.Kick();
        for (int frames = 0; got != New; frames++)
        {
            Assert.InRange(frames, 0, 100);
            VirtqUsedElem used = Receive.Wait()!.Value;
            Assert.Equal(Header + 100, used.Len);
            got = Receive.Bytes(Buffers + 0x10_0000 + used.Id * 0x1000ul, (int)used.Len)[^1];
            Assert.Contains(got, new[] { Old, New });
            Give(Receive, (ushort)used.Id, Buffers + 0x10_0000);
            Receive.Publish();
            Receive.Kick();
        }
        Control();
    }

    public override void Dispose()
    {
        base.Dispose();
        _ = Libc.close(_host);
    }

    private void Control()
    {
        GuestQueue control = Driver.Queues[VirtioNet.ControlQueue];
        ulong table = control.Data + 0x1000;
        control.Bytes(control.Data, 3).Clear();
        control.Bytes(control.Data + 16, 1)[0] = 0xee;
        control.DescribeChain(0, table, new(control.Data, 3, false), new(control.Data + 16, 1, true));
        control.Describe(0, table, 32, VirtqDescFlags.Indirect);
        Assert.Equal(1u, control.Transact(0)!.Value.Len);
        Assert.Equal((byte)VirtioNetAck.Ok, control.Bytes(control.Data + 16, 1)[0]);
    }

    private static void Give(GuestQueue queue, ushort head, ulong at)
    {
        queue.Describe(head, at + head * 0x1000ul, RoomSize, VirtqDescFlags.Write);
        queue.Offer(head);
    }

    private void Send(ushort head, uint length, byte fill, ulong at)
    {
        ulong frame = at + head * 0x800ul;
        Span<byte> bytes = Transmit.Bytes(frame, (int)(Header + length));
        bytes[..(int)Header].Clear();
        bytes[(int)Header..].Fill(fill);
        for (int i = 0; i < 6; i++) bytes[(int)Header + 6 + i] = _device.Mac[i];
        Transmit.Describe(head, frame, Header + length, VirtqDescFlags.None);
        Transmit.Offer(head);
    }

    private bool HostWrites(byte fill)
    {
        byte[] packet = new byte[Header + 100];
        packet.AsSpan((int)Header).Fill(fill);
        return HostIo.Write(_host, packet) == packet.Length;
    }

    // The host takes frames until so many of the guest's have gone.
    private void DrainUntil(int sent)
    {
        byte[] frame = new byte[1 << 16];
        Assert.True(GuestDriver.Eventually(() =>
        {
            _ = HostIo.Read(_host, frame);
            return Transmit.UsedIndex >= sent;
        }));
    }
}
