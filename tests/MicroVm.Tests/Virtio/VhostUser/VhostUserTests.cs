using System.Buffers.Binary;
using MicroVm.Devices;
using Xunit;

namespace MicroVm.Tests.Virtio.VhostUser;

public sealed class VhostUserTests
{
    [Fact]
    public void Buffers_come_back_and_the_interrupt_is_the_lines_own_event()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(3));
        Assert.True(guest.Driver.Line.Event.IsSignalled);
        Assert.True(guest.Transact(4));
        Assert.Equal(guest.Driver.Features | (ulong)VhostUserFeatures.Protocol, backend.Accepted);
    }

    [Fact]
    public void Regions_are_named_by_guest_addresses_only()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        VhostUserRegion region = Assert.Single(backend.Regions);
        Assert.Equal((0ul, GuestDriver.Ram, 0ul), (region.GuestAddress, region.Length, region.UserAddress));
        Assert.Equal(guest.Queue.Used, backend.Vrings[1].Address.Used);
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void Memory_that_comes_and_goes_is_the_backends_too(bool acknowledges)
    {
        using TestBackend backend = new() { Protocol = acknowledges ? (VhostUserProtocol)ulong.MaxValue & ~VhostUserProtocol.Inflight : 0 };
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        for (int i = 0; i < 3; i++)
        {
            guest.Driver.Memory.Add(VhostUserGuest.High, 128 << 20);
            Assert.Equal([0, VhostUserGuest.High], backend.Regions.Select(static r => r.GuestAddress));
            // Its bytes are those of the guest.
            Assert.True(guest.Driver.Memory.TryWrite(VhostUserGuest.High + 4096, 0x1234_5678_9abc_def0));
            Assert.Equal(0x1234_5678_9abc_def0, backend.Peek(VhostUserGuest.High + 4096));
            _ = guest.Driver.Memory.TryRemove(VhostUserGuest.High);
            Assert.Equal([0ul], backend.Regions.Select(static r => r.GuestAddress));
            Assert.True(guest.Transact((ushort)i));
        }
        // With no run the thread has nothing to tell, and the next run brings the memory of then.
        guest.Driver.Reset();
        guest.Driver.Memory.Add(VhostUserGuest.High, 128 << 20);
        guest.Driver.Start(16);
        Assert.True(guest.Transact(0));
        Assert.Equal(2, backend.Regions.Length);
    }

    [Fact]
    public void More_pieces_than_a_backend_takes_are_refused()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        for (ulong i = 0; i < 7; i++) guest.Driver.Memory.Add(VhostUserGuest.High + (i << 30), 128 << 20);
        Assert.Contains("guest memory would be in too many pieces, 9 of at most 8",
            Assert.Throws<MicroVmException>(() => guest.Driver.Memory.Add(VhostUserGuest.High + (7UL << 30),
                128 << 20)).Message, StringComparison.Ordinal);
        Assert.Equal(8, backend.Regions.Length);
        Assert.True(guest.Transact(1));
    }

    [Fact]
    public void A_backend_that_does_not_answer_to_a_change_is_cut_off_and_the_change_takes_place()
    {
        bool silent = false;
        using TestBackend backend = new() { Manners = r => silent && r == VhostUserRequest.SetMemTable ? Manner.Silence : Manner.Answer };
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        silent = true;
        guest.Driver.Memory.Add(VhostUserGuest.High, 128 << 20);
        Assert.True(guest.Says("does not answer SetMemTable"));
        silent = false;
        Assert.True(guest.Transact(1));
        Assert.Equal(2, backend.Regions.Length);
    }

    [Fact]
    public void Reset_takes_every_queue_back_before_it_returns()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        guest.Driver.Reset();
        Assert.False(backend.Serves(0) || backend.Serves(1));
        Assert.Equal(2, backend.Heard.Count(static r => r == VhostUserRequest.GetVringBase));
        guest.Driver.Start(16);
        Assert.True(guest.Transact(0));
    }

    [Fact]
    public void Backend_without_protocol_features_serves_too()
    {
        using TestBackend backend = new() { Features = (ulong)VirtioFeatures.Version1 };
        foreach (TestBackend.Vring ring in backend.Vrings) ring.Enabled = true;
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        Assert.DoesNotContain(VhostUserRequest.SetVringEnable, backend.Heard);
        Assert.DoesNotContain(VhostUserRequest.GetProtocolFeatures, backend.Heard);
    }

    [Fact]
    public void Features_that_this_side_does_not_speak_are_not_offered()
    {
        using TestBackend backend = new() { Features = ulong.MaxValue };
        using VhostUserGuest guest = new(backend, disk: true);
        ulong rings = (ulong)(VirtioFeatures.Version1 | VirtioFeatures.RingIndirectDesc | VirtioFeatures.RingEventIdx);
        Assert.Equal(rings | 0xff_ffff & ~(ulong)VirtioBlockFeatures.ConfigWce, guest.Driver.OfferedFeatures());
    }

    [Fact]
    public void Disk_shows_the_backends_configuration_and_its_changes()
    {
        using TestBackend backend = new();
        BinaryPrimitives.WriteUInt64LittleEndian(backend.Config, 1000);
        using VhostUserGuest guest = new(backend, disk: true);
        Assert.Equal(1000ul, Capacity(guest));
        Assert.True(guest.Transact(0));
        BinaryPrimitives.WriteUInt64LittleEndian(backend.Config, 2000);
        backend.AskConfigChanged();
        Assert.True(GuestDriver.Eventually(() => Capacity(guest) == 2000));
        Assert.True(GuestDriver.Eventually(() => (guest.Driver.InterruptStatus & VirtioMmio.Bits.InterruptStatusConfigChange) != 0));
    }

    [Fact]
    public void Disks_driver_flushes_whatever_the_backend_says_of_its_cache()
    {
        using TestBackend backend = new() { Features = ulong.MaxValue };
        using VhostUserGuest guest = new(backend, disk: true);
        Assert.Equal((ulong)VirtioBlockFeatures.Flush, guest.Driver.OfferedFeatures() & (ulong)(VirtioBlockFeatures.Flush | VirtioBlockFeatures.ConfigWce));
        _ = guest.Driver.WriteAt(GuestDriver.Offset("Config"), 8, 77);
        Assert.Equal(0ul, Capacity(guest));
    }

    [Fact]
    public void Disk_has_as_many_queues_as_its_backend_says()
    {
        using TestBackend backend = new() { Features = (ulong)VirtioFeatures.Version1 | (ulong)VhostUserFeatures.Protocol | (ulong)VirtioBlockFeatures.MultiQueue };
        backend.Config[0x22] = 3;
        using VhostUserGuest guest = new(backend, disk: true);
        Assert.Equal(3, guest.Driver.Queues.Count);
        Assert.True(guest.Transact(0));
        Assert.True(backend.Serves(0) && backend.Serves(1) && backend.Serves(2));
    }

    [Fact]
    public void Link_of_a_network_interface_is_down_while_no_backend_is_there()
    {
        TestBackend first = new() { Features = ulong.MaxValue };
        using VhostUserGuest guest = new(first, open: log => MicroVm.Virtio.VhostUser.VhostUserNetDevice.Open(new NetOptions { VhostUser = first.Path, Mtu = 9000 }, log, VhostUserGuest.Patience));
        Assert.True(guest.Transact(0));
        Assert.Equal((1, 9000), (Link(guest), guest.Driver.Page.Load<ushort>(GuestDriver.Offset("Config") + 10)));
        Assert.Equal(0ul, guest.Driver.OfferedFeatures() & (ulong)(VirtioNetFeatures.CtrlQueue | VirtioNetFeatures.MultiQueue));
        first.Dispose();
        Assert.True(GuestDriver.Eventually(() => Link(guest) == 0));
        using TestBackend second = new(first.Path, ulong.MaxValue);
        Assert.True(GuestDriver.Eventually(() => Link(guest) == 1));
        Assert.True(guest.Transact(1));

        static int Link(VhostUserGuest guest) => guest.Driver.Page.Load<ushort>(GuestDriver.Offset("Config") + 6);
    }

    [Fact]
    public void Nobody_listens_is_an_error_that_says_what_to_start()
    {
        MicroVmException e = Assert.Throws<MicroVmException>(static () => MicroVm.Virtio.VhostUser.VhostUserFsDevice.Open(new FsOptions("t", "/nowhere/s"), new(-1, "log")));
        Assert.Contains("virtiofsd --socket-path=/nowhere/s", e.Message, StringComparison.Ordinal);
    }

    internal static ulong Capacity(VhostUserGuest guest) => guest.Driver.Page.Load<ulong>(GuestDriver.Offset("Config"));
}
