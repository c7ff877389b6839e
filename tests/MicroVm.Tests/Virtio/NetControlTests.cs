using System.Buffers.Binary;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Queue;
using Xunit;

namespace MicroVm.Tests.Virtio;

public sealed class NetControlTests
{
    [Fact]
    public void Receive_modes_and_tables_are_taken()
    {
        using NetGuest guest = new();
        Assert.Equal(VirtioNetAck.Ok, NetGuest.Command(guest, 0, 0, 1));
        Assert.Equal(VirtioNetAck.Ok, NetGuest.Command(guest, 0, 1, 0));
        Assert.Equal(VirtioNetAck.Ok, NetGuest.Command(guest, 1, 0, [.. new byte[4], .. BitConverter.GetBytes(2), .. new byte[12]]));
    }

    [Fact]
    public void N4_commands_that_cannot_be_are_refused()
    {
        using NetGuest guest = new();
        for (int c = 2; c < 256; c++) Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, (byte)c, 0, 1, 0));
        for (int c = 2; c < 256; c++) Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 0, (byte)c, 1));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 0, 0));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 0, 0, 1, 2));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 0));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 0, 0xff, 0xff, 0xff, 0xff));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 0, [.. BitConverter.GetBytes(uint.MaxValue), .. new byte[6], .. BitConverter.GetBytes(0)]));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 0, [.. BitConverter.GetBytes(0x2aaa_aaab), .. new byte[6]]));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 4, 0, 0xff, 0xff));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 5, 0, new byte[7]));
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void Address_that_was_given_stays()
    {
        using NetGuest guest = new();
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 1, 2, 0, 0, 0, 0, 9));
        Assert.Equal(NetGuest.Mac, guest.Device.Mac.ToString());
    }

    [Fact]
    public void Random_address_may_be_changed_to_one_that_a_device_may_have()
    {
        using NetGuest guest = new(mac: null);
        Assert.Equal(2, guest.Device.Mac[0] & 3);
        Assert.Equal(VirtioNetAck.Ok, NetGuest.Command(guest, 1, 1, 2, 0, 0, 0, 0, 9));
        Assert.Equal("02:00:00:00:00:09", guest.Device.Mac.ToString());
        Assert.True(GuestDriver.Eventually(() => guest.Driver.Page.Load<byte>(GuestDriver.Offset("Config") + 5) == 9));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 1, 3, 0, 0, 0, 0, 9));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 1, 0, 0, 0, 0, 0, 0));
        Assert.Equal(VirtioNetAck.Error, NetGuest.Command(guest, 1, 1, 2, 0, 0, 0, 0));
    }

    [Fact]
    public void Command_without_room_for_its_answer_breaks_the_queue()
    {
        using NetGuest guest = new();
        guest.Control.DescribeChain(0, null, new Buffer(guest.Control.Data, 3, false));
        Assert.Null(guest.Control.Transact(0));
    }

    [Fact]
    public void Steps_allocate_nothing()
    {
        (int device, int host) = NetGuest.Pair();
        using GuestDriver driver = new(new EchoDevice(new MicroVm.Events.EventLoop("idle",
            MicroVm.Events.ThreadOwner.Process), 256));
        driver.Start(256);
        using HostTap tap = HostTap.FromDescriptors([device])[0];
        GuestQueue ring = driver.Queues[0];
        using MicroVm.Events.EventFd kick = new();
        QueueRequest request = new(ring.Size, ring.Descriptors, ring.Available, ring.Used);
        Assert.Equal(QueueFault.None, QueueSetup.TryCreate(0, request, 256, (ulong)VirtioFeatures.RingEventIdx, driver.Memory, kick, out QueueSetup? setup));
        NetCounters counters = new();
        NetTransmitter transmitter = new(new Virtqueue(setup!, driver.Memory), tap, new FrameCheck(0, null), counters, null);
        NetReceiver receiver = new(new Virtqueue(setup!, driver.Memory), tap, (ulong)VirtioNetFeatures.MergeRxBuffers, counters, null);
        byte[] buffer = new byte[4096];
        long allocated = 0;
        for (int i = 0; i < 2000; i++)
        {
            // The same ring serves one direction, then the other: the driver's side is only memory here.
            ring.DescribeChain(0, null, new(NetGuest.HeaderAt, 12, false), new(NetGuest.FrameAt, 1000, false));
            ring.Submit(0);
            long start = GC.GetAllocatedBytesForCurrentThread();
            bool sent = transmitter.Step(out int error);
            long middle = GC.GetAllocatedBytesForCurrentThread();
            Assert.True(sent && error == 0);
            Assert.Equal(1012, HostIo.Read(host, buffer));
            ring.Describe(0, NetGuest.BufferAt, 70000, VirtqDescFlags.Write);
            Assert.Equal(1012, HostIo.Write(host, buffer.AsSpan(0, 1012)));
            long again = GC.GetAllocatedBytesForCurrentThread();
            bool ready = receiver.Gather();
            int got = receiver.Step();
            if (i > 0) allocated += GC.GetAllocatedBytesForCurrentThread() - again + (middle - start);
            Assert.True(ready && got == 1012);
        }
        Assert.Equal(0, allocated);
        _ = Libc.close(device);
        _ = Libc.close(host);
    }
}
