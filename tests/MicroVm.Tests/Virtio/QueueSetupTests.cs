using MicroVm.Devices;
using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>What a driver may write into the queue registers, and when.</summary>
public sealed class QueueSetupTests : IDisposable
{
    private const ulong Desc = 0x10_0000, Avail = 0x12_0000, Used = 0x14_0000;

    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly GuestDriver _guest;

    public QueueSetupTests() => _guest = new GuestDriver(new EchoDevice(_loop, 1024));

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(8ul)]
    [InlineData(0x10_0001ul)]
    [InlineData(0xd000_0000ul)]
    [InlineData(GuestDriver.Ram - 16)]
    [InlineData(GuestDriver.Ram)]
    [InlineData(ulong.MaxValue - 15)]
    [InlineData(ulong.MaxValue)]
    public void Q1_bad_descriptor_table_asks_for_a_reset(ulong address) => Refused(256, address, Avail, Used);

    [Theory]
    [InlineData(0ul)]
    [InlineData(0x12_0001ul)]
    [InlineData(GuestDriver.Ram - 2)]
    [InlineData(0xffff_ffff_ffff_fffeul)]
    public void Q1_bad_available_ring_asks_for_a_reset(ulong address) => Refused(256, Desc, address, Used);

    [Theory]
    [InlineData(0ul)]
    [InlineData(0x14_0002ul)]
    [InlineData(GuestDriver.Ram - 4)]
    [InlineData(0xffff_ffff_ffff_fffcul)]
    [InlineData(Desc + 256)]
    [InlineData(Avail)]
    public void Q1_bad_used_ring_asks_for_a_reset(ulong address) => Refused(256, Desc, Avail, address);

    [Fact]
    public void Q1_ring_that_ends_with_the_last_byte_of_memory_works()
    {
        Prepare(256, GuestDriver.Ram - 256 * 16, Avail, Used);
        Assert.Equal(GuestDriver.Ready, _guest.Status);
    }

    [Fact]
    public void Q1_ring_across_the_hole_asks_for_a_reset()
    {
        using var memory = Memory.GuestMemory.Allocate(2 << 20, 1 << 20, 0x1_0000_0000);
        using GuestDriver guest = new(new EchoDevice(_loop, 256), memory);
        Assert.True(guest.Negotiate());
        guest.SetQueue(0, 256, (1 << 20) - 2048, 0x2000, 0x4000);
        guest.DriverOk();
        Assert.True(guest.NeedsReset);
        Assert.True(guest.Negotiate());
        guest.SetQueue(0, 256, 0x1_0000_0000, 0x2000, 0x4000);
        guest.DriverOk();
        Assert.False(guest.NeedsReset);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(1025u)]
    [InlineData(2048u)]
    [InlineData(0xffffu)]
    [InlineData(0x1_0000u)]
    [InlineData(0x8000_0000u)]
    public void Q2_bad_size_asks_for_a_reset(uint size) => Refused(size, Desc, Avail, Used);

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(1024u)]
    public void Q2_legal_size_works(uint size)
    {
        _guest.Start(size);
        GuestQueue queue = _guest.Queues[0];
        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
        for (int i = 0; i < 5; i++) Assert.Equal(0u, queue.Transact(0)!.Value.Id);
    }

    [Fact]
    public void Q3_registers_do_nothing_after_DRIVER_OK()
    {
        _guest.Start(8);
        GuestQueue queue = _guest.Queues[0];
        foreach (string register in (string[])["QueueNum", "QueueReady", "QueueDesc", "QueueDriver", "QueueDevice"])
        {
            Assert.Equal(Bus.IoStatus.WrongState, _guest.Write(register, 0));
        }
        Assert.Equal(Bus.IoStatus.WrongState, _guest.Write("QueueNum", 65535));
        Assert.Equal(1u, _guest.Read("QueueReady"));
        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
        for (int i = 0; i < 20; i++) Assert.NotNull(queue.Transact(0));
    }

    [Fact]
    public void Q1_failed_activation_raises_the_configuration_interrupt_and_a_reset_helps()
    {
        Refused(256, 0, Avail, Used);
        _guest.Start(16);
        Assert.Equal(GuestDriver.Ready, _guest.Status);
    }

    private void Prepare(uint size, ulong descriptors, ulong available, ulong used)
    {
        Assert.True(_guest.Negotiate());
        _guest.SetQueue(0, size, descriptors, available, used);
        _guest.DriverOk();
    }

    private void Refused(uint size, ulong descriptors, ulong available, ulong used)
    {
        Prepare(size, descriptors, available, used);
        Assert.Equal(GuestDriver.Ready | VirtioMmio.Bits.StatusNeedsReset, _guest.Status);
        Assert.Equal(VirtioMmio.Bits.InterruptStatusConfigChange, _guest.InterruptStatus);
        Assert.Equal(1ul, _guest.Line.Event.Drain());
        Assert.Equal(1, _guest.Errors.Count);
    }
}
