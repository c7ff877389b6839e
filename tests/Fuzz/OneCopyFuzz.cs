using System.Net.Sockets;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Block;
using Buffer = MicroVm.Tests.Virtio.Buffer;

namespace MicroVm.Fuzz;

/// <summary>Row Q11, what came of it: a second thread changes fields of a request between a few values while the device
/// looks at it. The device acts as if one of them had stood there all the time: what it checked is what it
/// did.</summary>
/// <remarks>Only the second thread writes the fields, so that each request finds any of their values. Interleavings are
/// not brought back by a seed: see <see cref="SecondThread"/>.</remarks>
public sealed class OneCopyFuzz
{
    private const int Requests = 100;
    private const ulong X = BlockGuest.DataAt, Y = X + 0x2000;

    [Fact]
    public void Q11_net_sends_what_it_checked()
    {
        Reach reach = new("sent", "dropped");
        byte[] got = new byte[4096];
        FuzzRun.Run("one copy: virtio-net, sent", random =>
        {
            using NetGuest guest = new(queueSize: 16);
            byte[] own = guest.Frame(60);
            Assert.NotNull(guest.Send(own));
            Assert.Equal(72, HostIo.Read(guest.HostEnd, got));
            // The sender, a flag that drivers may not set, and a count that must be 0.
            using SecondThread second = new(random.Next(), r =>
            {
                guest.Transmit.Ram.Store(NetGuest.FrameAt + 11, (byte)(own[11] ^ (r.Next(4) == 0 ? 1 : 0)));
                guest.Transmit.Ram.Store(NetGuest.HeaderAt, (byte)(r.Next(4) == 0 ? 2 : 0));
                guest.Transmit.Ram.Store(NetGuest.HeaderAt + 10, (byte)(r.Next(4) == 0 ? 1 : 0));
            });
            for (int i = 0; i < Requests; i++)
            {
                Assert.NotNull(guest.Transmit.Transact(0));
                int length = HostIo.Read(guest.HostEnd, got);
                reach.Add(length > 0 ? "sent" : "dropped");
                if (length < 0) continue;
                Assert.Equal(72, length);
                Assert.Equal(new byte[12], got[..12]);
                Assert.Equal(own[6..12], got[18..24]);
            }
        }, reach: reach);
    }

    [Fact]
    public void Q11_net_frame_goes_into_one_buffer()
    {
        Reach reach = new("buffer X", "buffer Y");
        FuzzRun.Run("one copy: virtio-net, received", random =>
        {
            using NetGuest guest = new(queueSize: 16, features: (ulong)VirtioFeatures.Version1);
            GuestQueue queue = guest.Receive;
            byte[] frame = new byte[500];
            queue.DescribeChain(0, null, new Buffer(X, 0x300, true));
            using SecondThread second = new(random.Next(), r =>
            {
                queue.Ram.Store(queue.Descriptors, r.Next(2) == 0 ? X : Y);
                queue.Ram.Store(queue.Descriptors + 8, r.Next(2) == 0 ? 0x300u : 0x600);
            });
            for (int i = 0; i < Requests; i++)
            {
                random.NextBytes(frame);
                Span<byte> buffers = queue.Bytes(X, 0x3000);
                buffers.Fill(0xee);
                queue.Submit(0);
                queue.Kick();
                Assert.Equal(512, guest.HostWrites(frame));
                Assert.Equal(512u, queue.Wait()!.Value.Len);
                int at = buffers[0] == 0xee ? (int)(Y - X) : 0;
                reach.Add(at == 0 ? "buffer X" : "buffer Y");
                Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, .. frame], buffers.Slice(at, 512).ToArray());
                buffers.Slice(at, 512).Fill(0xee);
                Assert.False(buffers.ContainsAnyExcept((byte)0xee), "it wrote elsewhere too");
            }
        }, reach: reach);
    }

    [Fact]
    public void Q11_vsock_packet_is_of_one_stream_and_one_length()
    {
        Reach reach = new("stream 0", "stream 1", "100 bytes", "356 bytes");
        FuzzRun.Run("one copy: virtio-vsock", random =>
        {
            using VsockGuest guest = new();
            using Socket first = guest.Open(1, guestPort: 0x10), second = guest.Open(1, guestPort: 0x20);
            byte[] packet = new byte[356], got = new byte[1000];
            Assert.True(guest.Send(VirtioVsockOperation.Data, 1, 0x10, packet));
            Assert.Equal(356, first.Receive(got));
            using SecondThread other = new(random.Next(), r =>
            {
                guest.Transmit.Ram.Store(VsockGuest.PacketAt + 16, r.Next(2) == 0 ? 0x10u : 0x20);
                guest.Transmit.Ram.Store(VsockGuest.PacketAt + 24, r.Next(2) == 0 ? 100u : 356);
            });
            for (int i = 0; i < Requests; i++)
            {
                random.NextBytes(packet);
                packet.CopyTo(guest.Transmit.Bytes(VsockGuest.PacketAt + 44, packet.Length));
                Assert.NotNull(guest.Transmit.Transact(0));
                int stream = first.Available != 0 ? 0 : 1, length = (stream == 0 ? first : second).Receive(got);
                Assert.Equal(packet[..length], got[..length]);
                Assert.Equal(0, first.Available + second.Available);
                reach.Add($"stream {stream}");
                reach.Add($"{length} bytes");
                while (guest.TryNext(out _)) { }
            }
        }, reach: reach);
    }
}
