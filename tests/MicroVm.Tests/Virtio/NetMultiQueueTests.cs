using MicroVm.Devices;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>A network device of three pairs of queues, each at a socket of its own.</summary>
public sealed class NetMultiQueueTests : IDisposable
{
    private const int Pairs = 3;
    private readonly int[] _hosts = new int[Pairs];
    private NetGuest? _guest;

    [Fact]
    public void Driver_is_told_how_many_pairs_there_are()
    {
        NetGuest guest = Start();
        Assert.Equal(2 * Pairs + 1, guest.Device.QueueSizes.Length);
        Assert.Equal(Pairs, guest.Driver.Page.Load<ushort>(GuestDriver.Offset("Config") + 8));
        Assert.NotEqual(0ul, guest.Device.Features & (ulong)VirtioNetFeatures.MultiQueue);
        using NetGuest one = new();
        Assert.Equal(0ul, one.Device.Features & (ulong)VirtioNetFeatures.MultiQueue);
    }

    [Fact]
    public void First_pair_works_alone_until_the_driver_asks_for_more()
    {
        NetGuest guest = Start();
        Assert.Equal(1, guest.Device.ActivePairs);
        Assert.True(Sends(guest, 0));
        Assert.False(Sends(guest, 1));
        Assert.Equal(VirtioNetAck.Ok, SetPairs(guest, 3));
        // What was sent too early waits, and goes now.
        Assert.True(GuestDriver.Eventually(() => Arrived(1)));
        Assert.True(Sends(guest, 2));
        Assert.Equal(VirtioNetAck.Ok, SetPairs(guest, 1));
        Assert.False(Sends(guest, 2));
        Assert.True(Sends(guest, 0));
        Assert.Equal(VirtioNetAck.Ok, SetPairs(guest, 2));
        Assert.True(Sends(guest, 1));
        Assert.Equal(2, guest.Device.ActivePairs);
        Assert.Equal(5, guest.Device.Counters.Sent);
    }

    [Fact]
    public void Each_pair_receives_what_comes_at_its_end()
    {
        NetGuest guest = Start();
        Assert.Equal(VirtioNetAck.Ok, SetPairs(guest, 3));
        for (int pair = Pairs - 1; pair >= 0; pair--)
        {
            GuestQueue queue = guest.Driver.Queues[2 * pair];
            for (int i = 0; i < 64; i++)
            {
                queue.Describe(i, NetGuest.BufferAt + (ulong)(pair * 64 + i) * 0x1000, 1526, VirtqDescFlags.Write);
                queue.Offer((ushort)i);
            }
            queue.Publish();
            queue.Kick();
            Assert.Equal(12 + 60 + pair, HostIo.Write(_hosts[pair], new byte[12 + 60 + pair]));
            Assert.Equal(72u + (uint)pair, queue.Wait()!.Value.Len);
        }
        // Counted once the guest has it.
        Assert.True(GuestDriver.Eventually(() => guest.Device.Counters.Received == 3));
    }

    [Theory]
    [InlineData(new byte[] { 0, 0 })]
    [InlineData(new byte[] { 4, 0 })]
    [InlineData(new byte[] { 0xff, 0xff })]
    [InlineData(new byte[] { 1 })]
    [InlineData(new byte[] { 1, 0, 0 })]
    public void N4_number_of_pairs_that_cannot_be_is_refused(byte[] pairs)
    {
        NetGuest guest = Start();
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 4, 0, pairs));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 4, 1, 1, 0));
        Assert.Equal(1, guest.Device.ActivePairs);
    }

    [Fact]
    public void Driver_that_knows_of_one_pair_finds_the_control_queue_behind_it()
    {
        NetGuest guest = Start(GuestDriver.AllFeatures & ~(ulong)VirtioNetFeatures.MultiQueue);
        Assert.Equal(2, guest.Control.Index);
        Assert.Equal(VirtioNetAck.Ok, NetGuest.Command(guest, 0, 0, 1));
        Assert.Equal(VirtioNetAck.Error, SetPairs(guest, 2));
        Assert.True(Sends(guest, 0));
    }

    [Fact]
    public void Reset_goes_back_to_the_first_pair()
    {
        NetGuest guest = Start();
        for (int round = 0; round < 20; round++)
        {
            Assert.Equal(VirtioNetAck.Ok, SetPairs(guest, 3));
            Assert.True(Sends(guest, 2));
            guest.Driver.Reset();
            Assert.Equal(1, guest.Device.ActivePairs);
            guest.Driver.Start(256);
        }
    }

    public void Dispose()
    {
        _guest?.Dispose();
        foreach (int host in _hosts) HostSocket.Close(host);
    }

    private NetGuest Start(ulong features = GuestDriver.AllFeatures)
    {
        int[] ends = new int[Pairs];
        for (int i = 0; i < Pairs; i++) (ends[i], _hosts[i]) = NetGuest.Pair();
        _guest = new NetGuest(new NetOptions { Descriptors = ends }, features);
        foreach (int end in ends) HostSocket.Close(end);
        return _guest;
    }

    private static VirtioNetAck? SetPairs(NetGuest guest, byte pairs) => NetGuest.Command(guest, 4, 0, pairs, 0);

    private bool Sends(NetGuest guest, int pair)
    {
        GuestQueue queue = guest.Driver.Queues[2 * pair + 1];
        queue.Ram.Store(NetGuest.HeaderAt, default(VirtioNetHeader));
        guest.Frame(60).CopyTo(queue.Bytes(NetGuest.FrameAt, 60));
        int first = 2 * (queue.Next % 64);
        queue.DescribeChain(first, null, new(NetGuest.HeaderAt, 12, false), new(NetGuest.FrameAt, 60, false));
        queue.Submit((ushort)first);
        queue.Kick();
        return GuestDriver.Eventually(() => Arrived(pair), 300);
    }

    private bool Arrived(int pair) => HostIo.Read(_hosts[pair], new byte[100]) == 72;
}
