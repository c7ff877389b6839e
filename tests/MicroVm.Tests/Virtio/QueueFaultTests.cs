using System.Diagnostics;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Rings and chains that break the rules: the device asks for a reset, at once, and works again after it.</summary>
public sealed class QueueFaultTests : IDisposable
{
    private const VirtqDescFlags N = VirtqDescFlags.Next, W = VirtqDescFlags.Write, I = VirtqDescFlags.Indirect;

    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly GuestDriver _guest;
    private GuestQueue _queue;

    public QueueFaultTests()
    {
        _guest = new GuestDriver(new EchoDevice(_loop, 256));
        _queue = _guest.Start(8).Queues[0];
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [Theory]
    [InlineData(9)]
    [InlineData(32768)]
    [InlineData(65535)]
    public void Q4_available_index_jumps(int by)
    {
        _queue.Next += (ushort)by;
        _queue.Publish();
        Breaks();
    }

    [Fact]
    public void Q4_available_index_goes_back()
    {
        Good();
        Good();
        _queue.Next--;
        _queue.Publish();
        Breaks();
    }

    [Theory]
    [InlineData(8)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    public void Q5_head_does_not_exist(int head)
    {
        _queue.Submit((ushort)head);
        Breaks();
    }

    [Fact]
    public void Q6_descriptor_that_points_to_itself() => Breaks(() => _queue.Describe(0, _queue.Data, 4, N, 0));

    [Fact]
    public void Q6_two_descriptors_in_a_circle() => Breaks(() =>
    {
        _queue.Describe(0, _queue.Data, 4, N, 1);
        _queue.Describe(1, _queue.Data, 4, N, 0);
    });

    [Theory]
    [InlineData(8)]
    [InlineData(0xffff)]
    public void Q6_next_descriptor_does_not_exist(int next) => Breaks(() => _queue.Describe(0, _queue.Data, 4, N, (ushort)next));

    [Fact]
    public void Q6_chain_as_long_as_the_queue_is_legal()
    {
        for (int i = 0; i < 8; i++) _queue.Describe(i, _queue.Data, 4, i < 7 ? N : 0, (ushort)(i + 1));
        Assert.NotNull(_queue.Transact(0));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(8u)]
    [InlineData(24u)]
    [InlineData(0xffff_fff0u)]
    [InlineData(16u * 32769)]
    public void Q7_indirect_table_of_a_wrong_length(uint length) => Breaks(() => _queue.Describe(0, Table(), length, I));

    [Theory]
    [InlineData(0xd000_0000ul)]
    [InlineData(GuestDriver.Ram - 16)]
    [InlineData(ulong.MaxValue - 15)]
    public void Q7_indirect_table_outside_memory(ulong address) => Breaks(() => _queue.Describe(0, address, 32, I));

    [Fact]
    public void Q7_indirect_in_indirect() => Breaks(() =>
    {
        _queue.Describe(0, Table(), 32, I);
        _queue.Describe(0, Table(), 16, I, table: Table());
    });

    [Fact]
    public void Q7_indirect_with_a_successor() => Breaks(() => _queue.Describe(0, Table(), 32, I | N, 1));

    [Fact]
    public void Q7_loop_in_an_indirect_table() => Breaks(() =>
    {
        _queue.Describe(0, Table(), 32, I);
        _queue.Describe(0, _queue.Data, 4, N, 1, Table());
        _queue.Describe(1, _queue.Data, 4, N, 0, Table());
    });

    [Fact]
    public void Q7_indirect_table_left_by_its_chain() => Breaks(() =>
    {
        _queue.Describe(0, Table(), 32, I);
        _queue.Describe(0, _queue.Data, 4, N, 2, Table());
    });

    [Fact]
    public void Q7_indirect_that_was_not_agreed_on()
    {
        _queue = _guest.Start(8, ~(ulong)VirtioFeatures.RingIndirectDesc).Queues[0];
        Breaks(() =>
        {
            _queue.Describe(0, Table(), 16, I);
            _queue.Describe(0, _queue.Data, 4, 0, table: Table());
        });
    }

    [Fact]
    public void Q7_direct_descriptors_before_an_indirect_one_are_legal()
    {
        _queue.Describe(0, _queue.Data, 4, N, 1);
        _queue.Describe(1, Table(), 32, I);
        _queue.DescribeChain(0, Table(), new(_queue.Data + 4, 4, false), new(_queue.Data + 64, 16, true));
        "abcdefgh"u8.CopyTo(_queue.Bytes(_queue.Data, 8));
        Assert.Equal(8u, _queue.Transact(0)!.Value.Len);
        Assert.Equal("abcdefgh"u8, _queue.Bytes(_queue.Data + 64, 8));
    }

    [Fact]
    public void Q8_writable_before_readable() => Breaks(() => _queue.DescribeChain(0, null, new(_queue.Data, 4, true), new(_queue.Data, 4, false)));

    [Fact]
    public void Q8_empty_buffers_are_legal()
    {
        _queue.DescribeChain(0, null, new(0, 0, false), new(_queue.Data, 3, false), new(ulong.MaxValue, 0, false), new(0, 0, true), new(_queue.Data + 8, 3, true), new(0, 0, true));
        Assert.Equal(3u, _queue.Transact(0)!.Value.Len);
        _queue.DescribeChain(0, null, new Buffer(0, 0, false));
        Assert.Equal(0u, _queue.Transact(0)!.Value.Len);
    }

    [Theory]
    [InlineData(GuestDriver.Ram, 1u)]
    [InlineData(GuestDriver.Ram - 1, 2u)]
    [InlineData(0xd000_0000ul, 4u)]
    [InlineData(ulong.MaxValue, 2u)]
    [InlineData(0ul, uint.MaxValue)]
    public void Q9_buffer_outside_memory(ulong address, uint length) => Breaks(() => _queue.DescribeChain(0, null, new Buffer(address, length, false)));

    [Fact]
    public void Q9_buffer_over_the_used_ring_hangs_nothing()
    {
        _queue.DescribeChain(0, null, new(_queue.Data, 64, false), new(_queue.Used, 64, true));
        _queue.Bytes(_queue.Data, 64).Fill(0xff);
        _ = _queue.Transact(0);
        _queue = _guest.Start(8).Queues[0];
        Good();
    }

    [Fact]
    public void Q9_chain_of_more_than_4_GiB() => Breaks(() =>
    {
        for (int i = 0; i < 8; i++) _queue.Describe(i, 0, 0x400_0000, W | (i < 7 ? N : 0), (ushort)(i + 1));
        _queue.Describe(7, Table(), 16 * 60, I);
        for (int i = 0; i < 60; i++) _queue.Describe(i, 0, 0x400_0000, W | (i < 59 ? N : 0), (ushort)(i + 1), Table());
    });

    [Fact]
    public void Q10_same_head_twice()
    {
        _queue.DescribeChain(0, null, new Buffer(_queue.Data, 4, false));
        _queue.Offer(0);
        _queue.Offer(0);
        _queue.Publish();
        Breaks();
    }

    [Fact]
    public void Q10_all_heads_equal()
    {
        _queue.DescribeChain(3, null, new Buffer(_queue.Data, 4, false));
        for (int i = 0; i < 8; i++) _queue.Offer(3);
        _queue.Publish();
        Breaks();
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public void A_ring_in_memory_that_the_guest_gave_back_breaks(bool replaced)
    {
        const ulong High = 0x1_0000_0000, Piece = 128 << 20;
        using GuestMemory memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, High, 1 << 30);
        memory.Add(High, Piece);
        memory.Add(High + (2 * Piece), Piece);
        using GuestDriver guest = new(new EchoDevice(_loop, 256), memory);
        Assert.True(guest.Negotiate());
        GuestQueue queue = new(guest, 0, 8, 0x10_0000);
        guest.SetQueue(0, 8, queue.Descriptors, queue.Available, High);
        guest.DriverOk();
        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
        Answered(1);
        // Another piece goes: nothing to do with this ring.
        _ = memory.TryRemove(High + (2 * Piece));
        Answered(2);
        _ = memory.TryRemove(High);
        if (replaced) memory.Add(High + Piece, Piece);
        queue.Submit(0);
        queue.Kick();
        Assert.True(guest.WaitForReset());
        Assert.False(memory.TryRange(High, 1, out _));

        void Answered(ushort index)
        {
            queue.Submit(0);
            queue.Kick();
            Assert.True(GuestDriver.Eventually(() => memory.TryRead(High + 2, out ushort used) && used == index));
        }
    }

    private ulong Table() => _queue.Data + 0x8000;

    private void Good()
    {
        // No interrupt for it (2.7.7): it could come late, and be counted with that of a broken queue.
        Assert.True(_queue.EventIndex);
        _queue.Ram.StoreIndex(_queue.Available + 4 + _queue.Size * 2ul, 0x7fff);
        _queue.DescribeChain(0, null, new Buffer(_queue.Data, 4, false));
        Assert.NotNull(_queue.Transact(0));
    }

    private void Breaks(Action describe)
    {
        describe();
        _queue.Submit(0);
        Breaks();
    }

    private void Breaks()
    {
        ushort used = _queue.UsedIndex;
        _guest.Line.Event.Drain();
        long start = Stopwatch.GetTimestamp();
        _queue.Kick();
        Assert.True(_guest.WaitForReset());
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(1));
        Assert.Equal(used, _queue.UsedIndex);
        Assert.True(GuestDriver.Eventually(() => _guest.Line.Event.Drain() == 1));
        Assert.NotEqual(0u, _guest.InterruptStatus & VirtioMmio.Bits.InterruptStatusConfigChange);
        _queue.Kick();
        _queue = _guest.Start(8).Queues[0];
        Good();
    }
}
