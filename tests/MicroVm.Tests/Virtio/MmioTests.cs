using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Mmio;
using Xunit;
using static MicroVm.Devices.VirtioMmio.Bits;

namespace MicroVm.Tests.Virtio;

public sealed class MmioTests : IDisposable
{
    private const uint Found = StatusAcknowledge | StatusDriver, Agreed = Found | StatusFeaturesOk;

    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly VirtioConsoleDevice _console;
    private readonly GuestDriver _guest;

    public MmioTests()
    {
        _console = new VirtioConsoleDevice(_loop, (OutputPump?)null, (80, 25));
        _guest = new GuestDriver(_console);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [Fact]
    public void T1_control_registers_take_4_aligned_bytes_only()
    {
        for (uint offset = 0; offset < 0x100; offset++)
        {
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                if (width == 4 && offset % 4 == 0) continue;
                Assert.NotEqual(IoStatus.Ok, _guest.ReadAt(offset, width, out ulong value));
                Assert.Equal(0ul, value);
                Assert.NotEqual(IoStatus.Ok, _guest.WriteAt(offset, width, ulong.MaxValue));
            }
        }
        Assert.Equal(0u, _guest.Status);
    }

    [Fact]
    public void T1_every_offset_and_width_is_survived()
    {
        for (uint offset = 0; offset < 0x1000; offset++)
        {
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                _ = _guest.ReadAt(offset, width, out _);
                _ = _guest.WriteAt(offset, width, 0x0123_4567_89ab_cdef);
            }
        }
        _guest.Start(8);
    }

    [Fact]
    public void T1_absent_queues_read_0()
    {
        Assert.True(_guest.Negotiate());
        for (uint i = 2; i <= 65536; i++)
        {
            _ = _guest.Write("QueueSel", i == 65536 ? uint.MaxValue : i);
            Assert.Equal(0u, _guest.Read("QueueNumMax"));
            Assert.Equal(0u, _guest.Read("QueueReady"));
            Assert.Equal(IoStatus.NoSuchIndex, _guest.Write("QueueNum", 8));
        }
    }

    [Fact]
    public void Page_and_register_reads_agree()
    {
        _guest.Start(8);
        foreach (RegisterInfo r in VirtioMmio.Catalog.Registers.Where(r => (r.Traits & (RegisterTraits.Resident | RegisterTraits.Window)) == RegisterTraits.Resident))
        {
            Assert.Equal(IoStatus.Ok, _guest.ReadAt(r.Offset, 4, out ulong value));
            Assert.Equal((uint)value, _guest.Page.Load<uint>(r.Offset));
        }
    }

    [Theory]
    [InlineData(0u, StatusDriver)]
    [InlineData(0u, Agreed)]
    [InlineData(0u, Agreed | StatusDriverOk)]
    [InlineData(Found, Found | StatusDriverOk)]
    [InlineData(Found, Agreed | StatusDriverOk)]
    [InlineData(Found, StatusAcknowledge)]
    [InlineData(Agreed, Found)]
    [InlineData(Agreed, Agreed | StatusNeedsReset)]
    [InlineData(Agreed, Agreed | 0x10)]
    [InlineData(Agreed, Agreed | 0x100)]
    [InlineData(Agreed, 0x100u)]
    [InlineData(Agreed | StatusDriverOk, Agreed)]
    [InlineData(Agreed | StatusFailed, Agreed)]
    [InlineData(Agreed | StatusFailed, Agreed | StatusFailed | StatusDriverOk)]
    public void T2_illegal_transition_is_ignored(uint from, uint to)
    {
        Reach(from);
        Assert.Equal(IoStatus.Refused, _guest.Write("Status", to));
        Assert.Equal(from, _guest.Status);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(StatusAcknowledge)]
    [InlineData(Agreed)]
    [InlineData(Agreed | StatusDriverOk)]
    [InlineData(StatusFailed)]
    public void T2_zero_resets_from_anywhere_twice(uint from)
    {
        Reach(from);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(IoStatus.Ok, _guest.Write("Status", 0));
            Assert.Equal(0u, _guest.Status);
            Assert.Equal(0u, _guest.InterruptStatus);
        }
        _guest.Start(8);
    }

    [Fact]
    public void T3_feature_that_was_not_offered_is_not_accepted()
    {
        for (int bit = 0; bit < 64; bit++)
        {
            ulong offered = _guest.OfferedFeatures();
            bool expected = (offered & (1ul << bit)) != 0;
            Assert.Equal(expected, _guest.Negotiate((ulong)VirtioFeatures.Version1 | (1ul << bit), exact: true));
        }
    }

    [Fact]
    public void T3_legacy_driver_is_not_accepted() => Assert.False(_guest.Negotiate(_guest.OfferedFeatures() & ~(ulong)VirtioFeatures.Version1, exact: true));

    [Fact]
    public void T3_features_do_not_change_after_FEATURES_OK()
    {
        Assert.True(_guest.Negotiate());
        ulong before = _guest.Mmio.AcceptedFeatures;
        Assert.Equal(IoStatus.WrongState, _guest.Write("DriverFeatures", 0));
        Assert.Equal(before, _guest.Mmio.AcceptedFeatures);
    }

    [Fact]
    public void T3_selector_beyond_1_reads_0_and_accepts_nothing()
    {
        foreach (uint selector in (uint[])[2, 31, 32, 33, uint.MaxValue])
        {
            _ = _guest.Write("DeviceFeaturesSel", selector);
            Assert.Equal(0u, _guest.Read("DeviceFeatures"));
        }
        _guest.Reset();
        Reach(Found);
        _ = _guest.Write("DriverFeaturesSel", 2);
        _ = _guest.Write("DriverFeatures", uint.MaxValue);
        Assert.Equal(0ul, _guest.Mmio.AcceptedFeatures);
    }

    [Fact]
    public void T4_configuration_ends_where_it_ends_and_is_not_written()
    {
        uint config = GuestDriver.Offset("Config");
        for (uint at = VirtioConsoleConfig.Size; at <= 0xf00 - 8; at += 4)
        {
            _ = _guest.ReadAt(config + at, 4, out ulong value);
            Assert.Equal(0ul, value);
            Assert.NotEqual(IoStatus.Ok, _guest.WriteAt(config + at, 4, ulong.MaxValue));
        }
        foreach (int width in (int[])[1, 2, 4, 8])
        {
            _ = _guest.WriteAt(config, width, ulong.MaxValue);
            _ = _guest.ReadAt(config, width, out ulong value);
            Assert.Equal(0x0019_0050ul & (width == 8 ? ulong.MaxValue : (1ul << (8 * width)) - 1), value);
        }
    }

    // The console announces its size once, when the driver is ready.
    private void TakeSize()
    {
        Assert.Equal(InterruptStatusConfigChange, _guest.InterruptStatus);
        _ = _guest.Write("InterruptAck", InterruptStatusConfigChange);
        Assert.Equal(1ul, _guest.Line.Event.Drain());
    }

    [Fact]
    public void T4_change_of_the_configuration_bumps_the_generation_and_interrupts()
    {
        _guest.Start(8);
        TakeSize();
        uint generation = _guest.Read("ConfigGeneration");
        _console.Resize(132, 50);
        Assert.NotEqual(generation, _guest.Read("ConfigGeneration"));
        Assert.Equal(132 | (50u << 16), _guest.Page.Load<uint>(GuestDriver.Offset("Config")));
        Assert.Equal(InterruptStatusConfigChange, _guest.InterruptStatus);
        Assert.Equal(1ul, _guest.Line.Event.Drain());
    }

    [Fact]
    public void T4_change_before_DRIVER_OK_is_told_at_DRIVER_OK()
    {
        Assert.True(_guest.Negotiate());
        _console.Resize(132, 50);
        Assert.Equal(0ul, _guest.Line.Event.Drain());
        _guest.AddQueues(8);
        _guest.DriverOk();
        Assert.Equal(1ul, _guest.Line.Event.Drain());
        Assert.Equal(InterruptStatusConfigChange, _guest.InterruptStatus);
    }

    [Fact]
    public void Acknowledge_of_used_buffers_changes_nothing_and_has_a_doorbell()
    {
        // Without EVENT_IDX: a driver that polls could otherwise take back its wish for an interrupt in time.
        _guest.Start(8, ~(ulong)VirtioFeatures.RingEventIdx);
        TakeSize();
        GuestQueue transmit = _guest.Queues[1];
        transmit.DescribeChain(0, null, new Buffer(transmit.Data, 4, false));
        Assert.NotNull(transmit.Transact(0));
        Assert.True(GuestDriver.Eventually(() => _guest.InterruptStatus == InterruptStatusUsedBuffer));
        _console.Resize(1, 1);
        _ = _guest.Write("InterruptAck", InterruptStatusUsedBuffer);
        Assert.Equal(InterruptStatusUsedBuffer | InterruptStatusConfigChange, _guest.InterruptStatus);
        _ = _guest.Write("InterruptAck", InterruptStatusUsedBuffer | InterruptStatusConfigChange);
        Assert.Equal(InterruptStatusUsedBuffer, _guest.InterruptStatus);
        DoorbellRequest[] doorbells = _guest.Mmio.Doorbells.ToArray();
        Assert.Equal([(0x50u, 0ul), (0x50u, 1ul), (0x64u, 1ul)], doorbells.Select(d => (d.Offset, d.Match!.Value)));
        Assert.All(doorbells, d => Assert.Equal(4, d.Width));
    }

    [Fact]
    public async Task No_configuration_change_is_lost_to_a_driver_that_acknowledges_first()
    {
        _guest.Start(8);
        Task host = Task.Run(() =>
        {
            for (int i = 1; i <= 20_000; i++) _console.Resize((ushort)i, 7);
        });
        // Linux's handler: read the status, write it back, then look at the configuration.
        ushort seen = 0;
        while (true)
        {
            bool last = host.IsCompleted;
            if (_guest.Line.Event.Drain() == 0 && !GuestDriver.Eventually(PollLine, 100))
            {
                if (last) break;
                continue;
            }
            uint status = _guest.InterruptStatus;
            if (status != InterruptStatusUsedBuffer) _ = _guest.Write("InterruptAck", status);
            if ((status & InterruptStatusConfigChange) != 0) seen = _guest.Page.Load<ushort>(GuestDriver.Offset("Config"));
        }
        await host;
        Assert.Equal(20_000, seen);
    }

    private bool PollLine() => Kvm.HostIo.Wait(_guest.Line.Event.Fd, Kvm.Libc.EPOLLIN, 0);

    private void Reach(uint status)
    {
        _guest.Reset();
        if ((status & StatusFeaturesOk) != 0) Assert.True(_guest.Negotiate());
        else
        {
            if ((status & StatusAcknowledge) != 0) _ = _guest.Write("Status", StatusAcknowledge);
            if ((status & StatusDriver) != 0) _ = _guest.Write("Status", Found);
        }
        if ((status & StatusDriverOk) != 0)
        {
            _guest.AddQueues(8);
            _guest.DriverOk();
        }
        if ((status & StatusFailed) != 0) _ = _guest.Write("Status", status);
        Assert.Equal(status, _guest.Status);
    }
}
