using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Net;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>A network device whose tap is one end of a pair of sockets that keep packets apart, and a driver for it.</summary>
internal sealed class NetGuest : IDisposable
{
    internal const ulong HeaderAt = 0x80_0000, FrameAt = 0x81_0000, BufferAt = 0x100_0000;
    internal const string Mac = "52:54:00:11:22:33";

    private int _host;

    internal NetGuest(uint queueSize = 256, ulong features = GuestDriver.AllFeatures, string? mac = Mac)
    {
        (int device, _host) = Pair();
        MacAddress? address = mac is not null && MacAddress.TryParse(mac, out MacAddress parsed) ? parsed : null;
        Device = VirtioNetDevice.Open(new NetOptions { Descriptors = [device], Mac = address });
        _ = Libc.close(device);
        Driver = new GuestDriver(Device).Start(queueSize, features);
    }

    /// <summary>With a host end of the test's own.</summary>
    internal NetGuest(NetOptions options, ulong features = GuestDriver.AllFeatures)
    {
        _host = -1;
        Device = VirtioNetDevice.Open(options with { Mac = MacAddress.TryParse(Mac, out MacAddress address) ? address : null });
        Driver = new GuestDriver(Device).Start(256, features);
    }

    internal VirtioNetDevice Device { get; }
    internal GuestDriver Driver { get; }
    internal GuestQueue Receive => Driver.Queues[VirtioNet.ReceiveQueue];
    /// <summary>The host's end of the pair.</summary>
    internal int HostEnd => _host;
    internal GuestQueue Transmit => Driver.Queues[VirtioNet.TransmitQueue];
    internal GuestQueue Control => Driver.Queues[(Driver.Features & (ulong)VirtioNetFeatures.MultiQueue) != 0 ? ^1 : VirtioNet.ControlQueue];

    internal ushort LinkStatus => Driver.Page.Load<ushort>(GuestDriver.Offset("Config") + 6);

    internal static (int Device, int Host) Pair()
    {
        int[] fds = new int[2];
        Assert.Equal(0, socketpair(1, 5 | Libc.O_NONBLOCK, 0, fds));
        return (fds[0], fds[1]);
    }

    /// <summary>A frame from the guest's own address, of this many bytes with its Ethernet header.</summary>
    internal byte[] Frame(int length, byte fill = 0x5a)
    {
        byte[] frame = new byte[length];
        Array.Fill(frame, fill);
        for (int i = 0; i < 6 && i + 6 < length; i++) frame[6 + i] = Device.Mac[i];
        return frame;
    }

    /// <summary>Sends header and frame in one chain of two buffers; the used element.</summary>
    internal VirtqUsedElem? Send(ReadOnlySpan<byte> frame, VirtioNetHeader header = default)
    {
        Transmit.Ram.Store(HeaderAt, header);
        frame.CopyTo(Transmit.Bytes(FrameAt, frame.Length));
        if (frame.IsEmpty) Transmit.DescribeChain(0, null, new Buffer(HeaderAt, 12, false));
        else Transmit.DescribeChain(0, null, new(HeaderAt, 12, false), new(FrameAt, (uint)frame.Length, false));
        return Transmit.Transact(0);
    }

    /// <summary>What came out at the host: header and frame; null if nothing did within the time.</summary>
    internal byte[]? HostReads(int milliseconds = 2000)
    {
        byte[] bytes = new byte[1 << 17];
        int n = -Libc.EAGAIN;
        _ = GuestDriver.Eventually(() => (n = HostIo.Read(_host, bytes)) != -Libc.EAGAIN, milliseconds);
        return n < 0 ? null : bytes[..n];
    }

    internal int HostWrites(ReadOnlySpan<byte> frame)
    {
        byte[] packet = new byte[12 + frame.Length];
        frame.CopyTo(packet.AsSpan(12));
        return HostIo.Write(_host, packet);
    }

    /// <summary>Gives receive buffers of this size, one descriptor each.</summary>
    internal void GiveBuffers(int first, int count, uint size)
    {
        for (int i = first; i < first + count; i++)
        {
            Receive.Describe(i, BufferAt + (ulong)i * 0x1_0000, size, VirtqDescFlags.Write);
            Receive.Offer((ushort)i);
        }
        Receive.Publish();
        Receive.Kick();
    }

    internal Span<byte> ReceiveBuffer(int index, int length) => Receive.Bytes(BufferAt + (ulong)index * 0x1_0000, length);

    /// <summary>Waits for a frame and puts it together of its buffers, which are given again.</summary>
    internal byte[] TakeFrame()
    {
        List<byte> frame = [];
        int buffers = 1;
        for (int i = 0; i < buffers; i++)
        {
            VirtqUsedElem used = Receive.Wait() ?? throw new InvalidOperationException();
            Span<byte> part = ReceiveBuffer((int)used.Id, (int)used.Len);
            if (i == 0) buffers = part[10] | (part[11] << 8);
            frame.AddRange(part[(i == 0 ? 12 : 0)..]);
            GiveBuffers((int)used.Id, 1, 2000);
        }
        return [.. frame];
    }

    /// <summary>Waits until the device has seen all that happened before: the control queue is served by the same thread, in its turn.</summary>
    internal void Settle() => Assert.NotNull(Command(this, 0, 0, 1));

    internal static VirtioNetAck? Command(NetGuest guest, byte @class, byte command, params byte[] data)
    {
        GuestQueue q = guest.Control;
        q.Bytes(q.Data, 2)[0] = @class;
        q.Bytes(q.Data, 2)[1] = command;
        data.CopyTo(q.Bytes(q.Data + 16, Math.Max(1, data.Length)));
        q.Bytes(q.Data + 0x8000, 1)[0] = 0xee;
        if (data.Length == 0) q.DescribeChain(0, null, new(q.Data, 2, false), new(q.Data + 0x8000, 1, true));
        else q.DescribeChain(0, null, new(q.Data, 2, false), new(q.Data + 16, (uint)data.Length, false), new(q.Data + 0x8000, 1, true));
        return q.Transact(0) is null ? null : (VirtioNetAck)q.Bytes(q.Data + 0x8000, 1)[0];
    }

    internal void CloseHost()
    {
        if (_host >= 0) _ = Libc.close(_host);
        _host = -1;
    }

    public void Dispose()
    {
        Driver.Dispose();
        CloseHost();
    }

    [DllImport("libc")] private static extern int socketpair(int family, int type, int protocol, int[] fds);
}
