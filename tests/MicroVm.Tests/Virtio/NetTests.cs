using System.Buffers.Binary;
using System.Diagnostics;
using MicroVm.Devices;
using MicroVm.Virtio.Net;
using Xunit;

namespace MicroVm.Tests.Virtio;

public sealed class NetTests
{
    private const ulong Offloads = (ulong)(VirtioNetFeatures.Checksum | VirtioNetFeatures.HostTso4 | VirtioNetFeatures.HostTso6 | VirtioNetFeatures.HostEcn);

    [Fact]
    public void Frame_reaches_the_host_as_it_is()
    {
        using NetGuest guest = new();
        byte[] frame = guest.Frame(1514);
        Assert.Equal(0u, guest.Send(frame)!.Value.Len);
        byte[] got = guest.HostReads()!;
        Assert.Equal(new byte[12], got[..12]);
        Assert.Equal(frame, got[12..]);
        Assert.Equal((1L, 0L), (guest.Device.Counters.Sent, guest.Device.Counters.BadFrames));
    }

    [Fact]
    public void Frame_in_pieces_that_cut_the_header_is_put_together()
    {
        using NetGuest guest = new();
        byte[] frame = guest.Frame(200);
        guest.Transmit.Ram.Store(NetGuest.HeaderAt, default(VirtioNetHeader));
        frame.CopyTo(guest.Transmit.Bytes(NetGuest.FrameAt, 200));
        ulong h = NetGuest.HeaderAt, f = NetGuest.FrameAt;
        guest.Transmit.DescribeChain(0, null, new(h, 5, false), new(h + 5, 7, false), new(f, 3, false), new(f + 3, 20, false), new(f + 23, 177, false));
        Assert.NotNull(guest.Transmit.Transact(0));
        Assert.Equal(frame, guest.HostReads()![12..]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(13)]
    [InlineData(65554)]
    [InlineData(65600)]
    public void N1_frame_of_impossible_size_is_dropped(int length)
    {
        using NetGuest guest = new();
        Assert.NotNull(guest.Send(guest.Frame(length)));
        Assert.Equal(1, guest.Device.Counters.BadFrames);
        Assert.NotNull(guest.Send(guest.Frame(60)));
        Assert.Equal(72, guest.HostReads()!.Length);
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void N1_frame_without_its_header_or_of_another_sender_is_dropped()
    {
        using NetGuest guest = new();
        guest.Transmit.DescribeChain(0, null, new Buffer(NetGuest.HeaderAt, 11, false));
        Assert.NotNull(guest.Transmit.Transact(0));
        byte[] spoofed = guest.Frame(60);
        spoofed[11] ^= 1;
        Assert.NotNull(guest.Send(spoofed));
        Assert.NotNull(guest.Send(guest.Frame(60), new VirtioNetHeader { Flags = (byte)VirtioNetHeaderFlags.NeedsChecksum, ChecksumStart = 34, ChecksumOffset = 16 }));
        Assert.NotNull(guest.Send(guest.Frame(60), new VirtioNetHeader { NumBuffers = 1 }));
        Assert.Equal((0L, 4L), (guest.Device.Counters.Sent, guest.Device.Counters.BadFrames));
        // What comes out is the next good one.
        Assert.NotNull(guest.Send(guest.Frame(61)));
        Assert.Equal(73, guest.HostReads()!.Length);
    }

    [Theory]
    [InlineData(true, 0, 0, 0, 0, 0, 0)]
    [InlineData(true, 1, 0, 0, 0, 34, 16)]
    [InlineData(true, 1, 1, 54, 1448, 34, 16)]
    [InlineData(true, 1, 0x84, 74, 1428, 54, 16)]
    [InlineData(false, 1, 0, 0, 0, 1498, 16)]       // the sum would lie behind the frame
    [InlineData(false, 1, 0, 0, 0, 65535, 65535)]
    [InlineData(false, 2, 0, 0, 0, 0, 0)]           // only the device says DATA_VALID
    [InlineData(false, 0xff, 0, 0, 0, 0, 0)]
    [InlineData(false, 0, 1, 54, 1448, 0, 0)]       // segmentation without a checksum
    [InlineData(false, 1, 1, 54, 0, 34, 16)]        // segments of 0 bytes
    [InlineData(false, 1, 1, 1515, 1448, 34, 16)]   // headers longer than the frame
    [InlineData(false, 1, 3, 42, 1472, 34, 6)]      // UFO was not offered
    [InlineData(false, 1, 2, 54, 1448, 34, 16)]
    [InlineData(false, 1, 0x80, 54, 1448, 34, 16)]
    public void N1_header_is_checked(bool good, byte flags, byte gso, ushort headers, ushort size, ushort start, ushort offset)
    {
        VirtioNetHeader header = new() { Flags = flags, GsoType = gso, HeaderLength = headers, GsoSize = size, ChecksumStart = start, ChecksumOffset = offset };
        Assert.Equal(good, new FrameCheck(Offloads, null).Passes(header, new byte[14], 1514));
        // Without the features only the frame that asks for nothing passes.
        Assert.Equal((flags | gso) == 0, new FrameCheck(0, null).Passes(header, new byte[14], 1514));
    }

    [Fact]
    public void Frame_fills_several_buffers_that_appear_at_once()
    {
        using NetGuest guest = new();
        guest.GiveBuffers(0, 60, 1500);
        byte[] frame = guest.Frame(4000);
        frame[3999] = 7;
        guest.HostWrites(frame);
        Assert.True(GuestDriver.Eventually(() => guest.Receive.HasUsed));
        Assert.Equal(3, guest.Receive.UsedIndex);
        Assert.Equal(3, BinaryPrimitives.ReadUInt16LittleEndian(guest.ReceiveBuffer(0, 12)[10..]));
        byte[] got = new byte[4012];
        int at = 0;
        for (int i = 0; i < 3; i++)
        {
            Assert.True(guest.Receive.TryTakeUsed(out VirtqUsedElem used));
            guest.ReceiveBuffer((int)used.Id, (int)used.Len).CopyTo(got.AsSpan(at));
            at += (int)used.Len;
        }
        Assert.Equal(4012, at);
        Assert.Equal(frame, got[12..]);
        Assert.True(guest.Driver.Line.Event.Drain() >= 1);
    }

    [Fact]
    public void Without_mergeable_buffers_a_frame_has_one()
    {
        using NetGuest guest = new(features: (ulong)VirtioFeatures.Version1);
        guest.GiveBuffers(0, 4, 1526);
        for (int i = 0; i < 3; i++) guest.HostWrites(guest.Frame(60 + i));
        guest.HostWrites(guest.Frame(1600));
        for (int i = 0; i < 3; i++) Assert.Equal(72u + (uint)i, guest.Receive.Wait()!.Value.Len);
        Assert.Equal(1, BinaryPrimitives.ReadUInt16LittleEndian(guest.ReceiveBuffer(2, 12)[10..]));
        Assert.True(GuestDriver.Eventually(() => guest.Device.Counters.ReceiveDrops == 1));
    }

    [Fact]
    public void N2_frames_wait_for_buffers_and_cost_nothing_meanwhile()
    {
        using NetGuest guest = new();
        for (int i = 0; i < 8; i++) guest.HostWrites(guest.Frame(100, (byte)i));
        guest.Settle();
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        Assert.Equal(0, guest.Receive.UsedIndex);
        guest.GiveBuffers(0, 64, 1526);
        for (int i = 0; i < 8; i++)
        {
            VirtqUsedElem used = guest.Receive.Wait()!.Value;
            Assert.Equal(112u, used.Len);
            Assert.Equal((byte)i, guest.ReceiveBuffer((int)used.Id, 112)[111]);
        }
        Assert.True(Process.GetCurrentProcess().TotalProcessorTime - before < TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void N2_flood_is_survived_and_receiving_goes_on()
    {
        using NetGuest guest = new();
        int sent = 0, seen = 0;
        guest.GiveBuffers(0, 128, 1526);
        Assert.True(GuestDriver.Eventually(() =>
        {
            if (sent < 20000 && guest.HostWrites(guest.Frame(300)) > 0) sent++;
            while (guest.Receive.TryTakeUsed(out VirtqUsedElem used))
            {
                Assert.Equal(312u, used.Len);
                seen++;
                guest.GiveBuffers((int)used.Id, 1, 1526);
            }
            return seen == 20000;
        }, 60_000));
        Assert.Equal(20000, guest.Device.Counters.Received);
    }

    [Fact]
    public void Full_tap_holds_frames_and_receiving_goes_on()
    {
        using NetGuest guest = new();
        byte[] frame = guest.Frame(1000);
        guest.Transmit.Ram.Store(NetGuest.HeaderAt, default(VirtioNetHeader));
        frame.CopyTo(guest.Transmit.Bytes(NetGuest.FrameAt, 1000));
        for (int i = 0; i < 128; i++)
        {
            guest.Transmit.DescribeChain(2 * i, null, new(NetGuest.HeaderAt, 12, false), new(NetGuest.FrameAt, 1000, false));
        }
        int offered = 0;
        // Until the socket takes no more.
        while (offered < 4000)
        {
            for (int i = 0; i < 128; i++, offered++) guest.Transmit.Submit((ushort)(2 * i));
            guest.Transmit.Kick();
            if (!GuestDriver.Eventually(() => guest.Transmit.UsedIndex == (ushort)offered, 200)) break;
        }
        Assert.True(guest.Transmit.UsedIndex < offered);
        guest.GiveBuffers(0, 64, 1526);
        guest.HostWrites(guest.Frame(60));
        Assert.Equal(72u, guest.Receive.Wait()!.Value.Len);
        int got = 0;
        while (got < offered && guest.HostReads() is { Length: 1012 }) got++;
        Assert.Equal(offered, got);
        Assert.True(GuestDriver.Eventually(() => guest.Transmit.UsedIndex == (ushort)offered));
        Assert.Equal(0, guest.Device.Counters.SendDrops);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void N3_end_of_the_tap_is_link_down_and_nothing_spins(bool buffers)
    {
        using NetGuest guest = new();
        Assert.Equal(1, guest.LinkStatus);
        if (buffers) guest.GiveBuffers(0, 64, 1526);
        else guest.HostWrites(guest.Frame(60));
        guest.Settle();
        guest.CloseHost();
        Assert.True(GuestDriver.Eventually(() => guest.LinkStatus == 0));
        Assert.NotNull(guest.Send(guest.Frame(60)));
        Assert.Equal(1, guest.Device.Counters.SendDrops);
        Assert.False(guest.Driver.NeedsReset);
        Assert.NotEqual(0u, guest.Driver.InterruptStatus & 2);
    }

    [Fact]
    public void Reset_in_full_traffic_and_again()
    {
        using NetGuest guest = new();
        for (int round = 0; round < 50; round++)
        {
            guest.GiveBuffers(0, 100, 1526);
            for (int i = 0; i < 20; i++) guest.HostWrites(guest.Frame(500));
            guest.Driver.Reset();
            while (guest.HostReads(0) is not null) { }
            guest.Driver.Start(256);
        }
        guest.GiveBuffers(0, 64, 1526);
        guest.HostWrites(guest.Frame(77));
        Assert.True(GuestDriver.Eventually(() => guest.Receive.HasUsed));
    }
}
