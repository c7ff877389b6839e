using System.Diagnostics;
using MicroVm.Devices;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Frames that are held to a limit wait and none is lost. That the limit is exact is the buckets' own tests' affair.</summary>
public sealed class NetLimitTests
{
    private const int Frames = 60;

    [Theory]
    [InlineData(0, 200)]
    [InlineData(200 * 100, 0)]
    public void Frames_from_the_guest_wait_and_all_go(ulong bytes, ulong frames)
    {
        using NetGuest guest = Start(bytes, frames, out int host);
        guest.Transmit.Ram.Store(NetGuest.HeaderAt, default(VirtioNetHeader));
        guest.Frame(100).CopyTo(guest.Transmit.Bytes(NetGuest.FrameAt, 100));
        long since = Stopwatch.GetTimestamp();
        for (int i = 0; i < Frames; i++)
        {
            guest.Transmit.DescribeChain(2 * i, null, new(NetGuest.HeaderAt, 12, false), new(NetGuest.FrameAt, 100, false));
            guest.Transmit.Submit((ushort)(2 * i));
        }
        guest.Transmit.Kick();
        for (int i = 0; i < Frames; i++) Assert.Equal(112, Read(host).Length);
        HostSocketClose(host);
        // 200 a second, of which one may be saved and one owed.
        Assert.True(Stopwatch.GetElapsedTime(since) >= TimeSpan.FromMilliseconds(5 * (Frames - 3)));
        Assert.Equal((long)Frames, guest.Device.Counters.Sent);
    }

    [Theory]
    [InlineData(0, 200)]
    [InlineData(200 * 100, 0)]
    public void Frames_to_the_guest_wait_and_all_come(ulong bytes, ulong frames)
    {
        using NetGuest guest = Start(bytes, frames, out int host);
        guest.GiveBuffers(0, 128, 1526);
        long since = Stopwatch.GetTimestamp();
        for (int i = 0; i < Frames; i++)
        {
            byte[] packet = new byte[112];
            packet[111] = (byte)i;
            Assert.True(GuestDriver.Eventually(() => MicroVm.Kvm.HostIo.Write(host, packet) == 112));
        }
        for (int i = 0; i < Frames; i++)
        {
            VirtqUsedElem used = guest.Receive.Wait()!.Value;
            Assert.Equal(112u, used.Len);
            Assert.Equal(i, guest.ReceiveBuffer((int)used.Id, 112)[111]);
        }
        HostSocketClose(host);
        Assert.True(Stopwatch.GetElapsedTime(since) >= TimeSpan.FromMilliseconds(5 * (Frames - 3)));
        Assert.Equal((long)Frames, guest.Device.Counters.Received);
    }

    [Fact]
    public void Reset_while_frames_wait_and_again()
    {
        using NetGuest guest = Start(0, 20, out int host);
        for (int round = 0; round < 20; round++)
        {
            guest.GiveBuffers(0, 128, 1526);
            for (int i = 0; i < 5; i++) _ = MicroVm.Kvm.HostIo.Write(host, new byte[112]);
            guest.Driver.Reset();
            guest.Driver.Start(256);
        }
        guest.GiveBuffers(0, 128, 1526);
        Assert.True(GuestDriver.Eventually(() => MicroVm.Kvm.HostIo.Write(host, new byte[112]) == 112));
        Assert.True(GuestDriver.Eventually(() => guest.Receive.HasUsed));
        HostSocketClose(host);
    }

    private static NetGuest Start(ulong bytes, ulong frames, out int host)
    {
        (int device, host) = NetGuest.Pair();
        NetGuest guest = new(new NetOptions { Descriptors = [device], Limits = new RateLimits(bytes, frames, 1) });
        HostSocketClose(device);
        return guest;
    }

    private static void HostSocketClose(int fd) => MicroVm.Kvm.HostSocket.Close(fd);

    private static byte[] Read(int host)
    {
        byte[] bytes = new byte[2000];
        int n = 0;
        Assert.True(GuestDriver.Eventually(() => (n = MicroVm.Kvm.HostIo.Read(host, bytes)) > 0));
        return bytes[..n];
    }
}
