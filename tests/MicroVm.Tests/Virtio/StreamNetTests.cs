using System.Buffers.Binary;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Net;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>A network device at a socket that carries frames in a stream, as passt's.</summary>
public sealed class StreamNetTests
{
    [Fact]
    public void Frame_goes_behind_its_length_and_comes_so()
    {
        using StreamHost host = new();
        byte[] frame = host.Guest.Frame(1514);
        frame[1513] = 9;
        Assert.NotNull(host.Guest.Send(frame));
        Assert.Equal(frame, host.ReadFrame());

        host.Guest.GiveBuffers(0, 64, 1526);
        host.Write(StreamHost.Framed(frame));
        Assert.Equal(1526u, host.Guest.Receive.Wait()!.Value.Len);
        Span<byte> got = host.Guest.ReceiveBuffer(0, 1526);
        Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], got[..12].ToArray());
        Assert.Equal(frame, got[12..].ToArray());
    }

    [Fact]
    public void No_offload_is_offered()
    {
        using StreamHost host = new();
        VirtioNetFeatures offered = (VirtioNetFeatures)host.Guest.Device.Features;
        Assert.Equal(VirtioNetFeatures.None, offered & (VirtioNetFeatures.Checksum | VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.HostTso4 | VirtioNetFeatures.GuestTso6 | VirtioNetFeatures.CtrlGuestOffloads));
        Assert.NotNull(host.Guest.Send(host.Guest.Frame(60), new VirtioNetHeader { Flags = 1, ChecksumStart = 34, ChecksumOffset = 6 }));
        Assert.Equal(1, host.Guest.Device.Counters.BadFrames);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4096)]
    [InlineData(1_000_000)]
    public void Stream_may_be_cut_anywhere(int piece)
    {
        using StreamHost host = new();
        host.Guest.GiveBuffers(0, 128, 2000);
        byte[] all = [];
        int[] lengths = [60, 14, 1514, 61, 1000, 65549, 60];
        foreach (int length in lengths) all = [.. all, .. StreamHost.Framed(host.Guest.Frame(length, (byte)length))];
        // A byte at a time takes long enough with less of them.
        for (int at = 0; at < all.Length; at += piece) host.Write(all.AsSpan(at, Math.Min(piece, all.Length - at)));
        foreach (int length in lengths)
        {
            byte[] got = host.Guest.TakeFrame();
            Assert.Equal(host.Guest.Frame(length, (byte)length), got);
        }
    }

    [Fact]
    public void Burst_larger_than_a_turn_and_than_the_ring_arrives_whole()
    {
        using StreamHost host = new();
        byte[] burst = new byte[1000 * 104];
        for (int i = 0; i < 1000; i++)
        {
            byte[] frame = host.Guest.Frame(100);
            BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(20), i);
            StreamHost.Framed(frame).CopyTo(burst, i * 104);
        }
        host.Write(burst);
        host.Guest.GiveBuffers(0, 128, 1526);
        for (int i = 0; i < 1000; i++)
        {
            VirtqUsedElem used = host.Guest.Receive.Wait()!.Value;
            Assert.Equal(112u, used.Len);
            Assert.Equal(i, BinaryPrimitives.ReadInt32LittleEndian(host.Guest.ReceiveBuffer((int)used.Id, 112)[32..]));
            host.Guest.GiveBuffers((int)used.Id, 1, 1526);
        }
    }

    [Fact]
    public void Host_that_does_not_read_holds_frames_up_and_loses_none()
    {
        using StreamHost host = new();
        Offer(host.Guest, out int offered);
        Assert.True(host.Guest.Transmit.UsedIndex < offered);
        host.Guest.GiveBuffers(0, 64, 1526);
        host.Write(StreamHost.Framed(host.Guest.Frame(60)));
        Assert.Equal(72u, host.Guest.Receive.Wait()!.Value.Len);
        for (int i = 0; i < offered; i++) Assert.Equal(1000, host.ReadFrame().Length);
        Assert.True(GuestDriver.Eventually(() => host.Guest.Transmit.UsedIndex == (ushort)offered));
        Assert.Equal(0, host.Guest.Device.Counters.SendDrops);
    }

    [Fact]
    public void Reset_does_not_cut_the_stream_in_a_frame()
    {
        using StreamHost host = new();
        Offer(host.Guest, out _);
        int before = (int)host.Guest.Device.Counters.Sent;
        host.Guest.Driver.Reset();
        host.Guest.Driver.Start(256);
        for (int i = 0; i < before; i++) Assert.Equal(host.Guest.Frame(1000), host.ReadFrame());
        Assert.NotNull(host.Guest.Send(host.Guest.Frame(77)));
        Assert.Equal(77, host.ReadFrame().Length);
    }

    [Theory]
    [InlineData(65554u)]
    [InlineData(uint.MaxValue)]
    public void Length_that_no_frame_has_is_the_end_of_the_stream(uint length)
    {
        using StreamHost host = new();
        host.Guest.GiveBuffers(0, 64, 1526);
        byte[] prefix = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(prefix, length);
        host.Write(prefix);
        Assert.True(GuestDriver.Eventually(() => host.Guest.LinkStatus == 0));
        Assert.False(host.Guest.Driver.NeedsReset);
    }

    [Fact]
    public void Short_and_empty_frames_are_dropped_and_the_next_arrives()
    {
        using StreamHost host = new();
        host.Guest.GiveBuffers(0, 64, 1526);
        host.Write([.. StreamHost.Framed([]), .. StreamHost.Framed(new byte[13]), .. StreamHost.Framed(host.Guest.Frame(60))]);
        Assert.Equal(72u, host.Guest.Receive.Wait()!.Value.Len);
        Assert.Equal(2, host.Guest.Device.Counters.ReceiveDrops);
    }

    [Fact]
    public void N3_end_of_the_program_is_link_down_and_held_frames_are_dropped()
    {
        using StreamHost host = new();
        Offer(host.Guest, out int offered);
        host.Close();
        Assert.True(GuestDriver.Eventually(() => host.Guest.LinkStatus == 0));
        Assert.True(GuestDriver.Eventually(() => host.Guest.Transmit.UsedIndex == (ushort)offered));
        Assert.NotEqual(0, host.Guest.Device.Counters.SendDrops);
        Assert.False(host.Guest.Driver.NeedsReset);
    }

    // Frames until the socket takes no more.
    private static void Offer(NetGuest guest, out int offered)
    {
        guest.Transmit.Ram.Store(NetGuest.HeaderAt, default(VirtioNetHeader));
        guest.Frame(1000).CopyTo(guest.Transmit.Bytes(NetGuest.FrameAt, 1000));
        for (int i = 0; i < 128; i++) guest.Transmit.DescribeChain(2 * i, null, new(NetGuest.HeaderAt, 12, false), new(NetGuest.FrameAt, 1000, false));
        int count = 0;
        while (count < 4000)
        {
            for (int i = 0; i < 128; i++, count++) guest.Transmit.Submit((ushort)(2 * i));
            guest.Transmit.Kick();
            if (!GuestDriver.Eventually(() => guest.Transmit.UsedIndex == (ushort)count, 200)) break;
        }
        offered = count;
    }

    private sealed class StreamHost : IDisposable
    {
        private readonly string _path = Path.Combine(Path.GetTempPath(), $"net-{Guid.NewGuid():n}");
        private int _socket;

        internal StreamHost()
        {
            int listener = HostSocket.Listen(_path);
            Guest = new NetGuest(new NetOptions { Socket = _path });
            Assert.True(GuestDriver.Eventually(() => (_socket = HostSocket.Accept(listener)) >= 0));
            HostSocket.Close(listener);
            File.Delete(_path);
        }

        internal NetGuest Guest { get; }

        internal static byte[] Framed(ReadOnlySpan<byte> frame)
        {
            byte[] framed = new byte[4 + frame.Length];
            BinaryPrimitives.WriteInt32BigEndian(framed, frame.Length);
            frame.CopyTo(framed.AsSpan(4));
            return framed;
        }

        internal void Write(ReadOnlySpan<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                int n = HostIo.Write(_socket, bytes);
                if (n > 0) bytes = bytes[n..];
                else Assert.Equal(-Libc.EAGAIN, n);
            }
        }

        internal byte[] ReadFrame() => Read(BinaryPrimitives.ReadInt32BigEndian(Read(4)));

        internal void Close()
        {
            if (_socket >= 0) HostSocket.Close(_socket);
            _socket = -1;
        }

        public void Dispose()
        {
            Guest.Dispose();
            Close();
        }

        private byte[] Read(int length)
        {
            byte[] bytes = new byte[length];
            for (int at = 0; at < length;)
            {
                int n = -Libc.EAGAIN;
                Assert.True(GuestDriver.Eventually(() => (n = HostIo.Read(_socket, bytes.AsSpan(at))) != -Libc.EAGAIN));
                Assert.InRange(n, 1, length);
                at += n;
            }
            return bytes;
        }
    }
}
