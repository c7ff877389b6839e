using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Mem;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>virtio-mem under honest and hostile drivers: which blocks are plugged, what the guest may reach of them, and that nothing old is read.</summary>
public sealed class MemTests : IDisposable
{
    private const ulong Size = 512UL << 20, Block = 2UL << 20, Chunk = PluggedBlocks.LeastChunk, Requested = 300UL << 20;

    private readonly GuestMemory _memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000, Size);
    private readonly VirtioMemDevice _device = new(new MemOptions(Size) { RequestedBytes = Requested });
    private readonly GuestDriver _guest;
    private readonly GuestQueue _queue;

    public MemTests()
    {
        ((IPlacedDevice)_device).Place(_memory);
        _guest = new GuestDriver(_device, _memory);
        _queue = _guest.Start(16).Queues[0];
    }

    private ulong Start => _device.Blocks.Start;

    public void Dispose()
    {
        _guest.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Blocks_are_memory_once_they_are_plugged_and_none_afterwards()
    {
        Assert.False(_memory.TryRange(Start, 1, out _));
        Assert.Equal(VirtioMemAnswer.Ack, Plug(0, 4));
        Assert.True(_memory.TryRange(Start, 4 * Block, out HostRange range));
        range.Span.Fill(0x77);
        Assert.Equal(4 * Block, _device.Plugged);
        Assert.Equal(VirtioMemAnswer.Ack, Unplug(0, 4));
        Assert.False(_memory.TryRange(Start, 1, out _));
        Assert.Equal(0ul, _device.Plugged);
        Assert.Equal(-1, range.Span.IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_block_beside_plugged_ones_loses_its_bytes_when_it_goes()
    {
        Assert.Equal(VirtioMemAnswer.Ack, Plug(0, 4));
        Assert.True(_memory.TryRange(Start, 4 * Block, out HostRange range));
        range.Span.Fill(0x77);
        Assert.Equal(VirtioMemAnswer.Ack, Unplug(1, 2));
        Assert.Equal(-1, range.Slice(Block, 2 * Block).Span.IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, range.Slice(0, Block).Span.IndexOfAnyExcept((byte)0x77));
        Assert.Equal(VirtioMemAnswer.Ack, Plug(1, 2));
        Assert.Equal(-1, range.Slice(Block, 2 * Block).Span.IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_run_across_chunks_is_one_region_and_goes_chunk_by_chunk()
    {
        uint perChunk = (uint)(Chunk / Block);
        Assert.Equal(VirtioMemAnswer.Ack, Plug(0, 2 * perChunk));
        Assert.True(_memory.TryRange(Start, 2 * Chunk, out _));
        Assert.Equal(VirtioMemAnswer.Ack, Unplug(perChunk - 1, 2));
        Assert.True(_memory.TryRange(Start, 2 * Chunk, out _));
        Assert.Equal(VirtioMemAnswer.Ack, Unplug(0, perChunk - 1));
        Assert.False(_memory.TryRange(Start, 1, out _));
        Assert.True(_memory.TryRange(Start + Chunk, Chunk, out _));
        Assert.Equal(VirtioMemAnswer.Ack, Ask(VirtioMemRequestType.UnplugAll, 0, 0));
        Assert.False(_memory.TryRange(Start + Chunk, 1, out _));
    }

    // B3: every second chunk of two devices gives back, and vhost takes 64 pieces.
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Guest_memory_never_falls_into_more_pieces_than_a_listener_takes(int step)
    {
        const ulong Region = 64 * Chunk;
        Fewest listener = new();
        using GuestMemory memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000, 2 * Region);
        memory.Listen(listener);
        PluggedBlocks[] both = [new(Region, Chunk), new(Region, Chunk)];
        foreach (PluggedBlocks blocks in both)
        {
            blocks.Place(memory);
            blocks.Plug(0, 64);
        }
        for (int i = 0; i < 64; i += step)
        {
            foreach (PluggedBlocks blocks in both) blocks.Unplug(i, 1);
        }
        Assert.InRange(listener.Most, 32, GuestMemory.MostRegions);
        for (int i = 0; i < 64; i += step)
        {
            foreach (PluggedBlocks blocks in both)
            {
                blocks.Plug(i, 1);
                Assert.True(memory.TryRange(blocks.Start + (ulong)i * Chunk, Chunk, out HostRange range));
                Assert.Equal(0, range.Span[0]);
                range.Span[0] = 1;
            }
        }
        foreach (PluggedBlocks blocks in both) blocks.UnplugAll();
        Assert.Equal(1, memory.Regions.Length);
        Assert.Equal(0ul, both[0].PresentBytes + both[1].PresentBytes);
        Assert.InRange(listener.Most, 32, GuestMemory.MostRegions);
    }

    // Plugged one by one, with gaps, it stops before there are too many.
    [Fact]
    public void A_plug_that_would_make_too_many_pieces_is_refused_and_changes_nothing()
    {
        const ulong Region = 64 * Chunk;
        using GuestMemory memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000, 3 * Region);
        PluggedBlocks[] all = [new(Region, Chunk), new(Region, Chunk), new(Region, Chunk)];
        int plugged = 0;
        foreach (PluggedBlocks blocks in all)
        {
            blocks.Place(memory);
            for (int i = 0; i < 64; i += 2)
            {
                if (memory.Regions.Length == GuestMemory.MostRegions) Assert.Throws<MicroVmException>(() => blocks.Plug(i, 1));
                else blocks.Plug(i, 1);
                plugged += blocks.Count(i, 1);
            }
        }
        Assert.Equal(GuestMemory.MostRegions, memory.Regions.Length);
        Assert.Equal(GuestMemory.MostRegions - 1, plugged);
    }

    private sealed class Fewest : IMemoryListener
    {
        internal int Most { get; private set; }

        public void Changed(ReadOnlySpan<MemoryRegion> regions) => Most = Math.Max(Most, regions.Length);
    }

    [Fact]
    public void More_than_is_requested_is_not_given()
    {
        Assert.Equal(VirtioMemAnswer.Ack, Plug(0, 150));
        Assert.Equal(VirtioMemAnswer.Nack, Plug(150, 1));
        Assert.Equal(VirtioMemAnswer.Nack, Plug(150, 60));
        _device.Request(Requested + Block);
        Assert.Equal(VirtioMemAnswer.Ack, Plug(150, 1));
        _device.Request(0);
        Assert.Equal(VirtioMemAnswer.Nack, Plug(151, 1));
        Assert.Equal(VirtioMemAnswer.Ack, Unplug(0, 151));
    }

    [Fact]
    public void Blocks_that_cannot_be_are_refused_and_nothing_changes()
    {
        Assert.Equal(VirtioMemAnswer.Ack, Plug(4, 4));
        uint last = (uint)(Size / Block) - 1;
        (ulong Address, ushort Count)[] none =
        [
            (Start - Block, 1), (Start + Size, 1), (Start + (last * Block), 2), (Start + 4096, 1), (0, 1), (ulong.MaxValue - Block + 1, 2), (ulong.MaxValue & ~(Block - 1), ushort.MaxValue), (Start, 0),
        ];
        foreach ((ulong address, ushort count) in none)
        {
            foreach (VirtioMemRequestType type in (VirtioMemRequestType[])[VirtioMemRequestType.Plug, VirtioMemRequestType.Unplug, VirtioMemRequestType.State, (VirtioMemRequestType)4, (VirtioMemRequestType)0xffff])
                Assert.Equal(VirtioMemAnswer.Error, Ask(type, address, count));
        }
        Assert.Equal(VirtioMemAnswer.Error, Plug(3, 2));       // one is plugged
        Assert.Equal(VirtioMemAnswer.Error, Unplug(3, 2));     // one is not
        Assert.Equal(4 * Block, _device.Plugged);
        Assert.True(_guest.Errors.Count > 0);
        Assert.False(_guest.NeedsReset);
    }

    [Fact]
    public void State_says_what_is_plugged()
    {
        Assert.Equal(VirtioMemAnswer.Ack, Plug(4, 4));
        Assert.Equal((VirtioMemAnswer.Ack, VirtioMemState.Plugged), State(4, 4));
        Assert.Equal((VirtioMemAnswer.Ack, VirtioMemState.Mixed), State(3, 2));
        Assert.Equal((VirtioMemAnswer.Ack, VirtioMemState.Unplugged), State(8, 10));
    }

    [Fact]
    public void The_configuration_is_true_before_the_answer_is_seen()
    {
        uint config = GuestDriver.Offset("Config");
        Assert.Equal(Start, _guest.Page.Load<ulong>(config + 0x10));
        Assert.Equal(Size, _guest.Page.Load<ulong>(config + 0x18));
        Assert.Equal(Requested, _guest.Page.Load<ulong>(config + 0x30));
        _guest.Line.Event.Drain();
        for (uint i = 0; i < 50; i++)
        {
            Assert.Equal(VirtioMemAnswer.Ack, Plug(i, 1));
            Assert.Equal((i + 1) * Block, _guest.Page.Load<ulong>(config + 0x28));
        }
        Assert.Equal(0u, _guest.InterruptStatus & 2);   // what the driver did itself is no news
        _device.Request(Size);
        Assert.Equal(Size, _guest.Page.Load<ulong>(config + 0x30));
        Assert.Equal(2u, _guest.InterruptStatus & 2);
    }

    [Fact]
    public void A_reset_of_the_driver_takes_no_memory_away()
    {
        Assert.Equal(VirtioMemAnswer.Ack, Plug(0, 2));
        Assert.True(_memory.TryWrite(Start, 99ul));
        _guest.Reset();
        Assert.True(_memory.TryRead(Start, out ulong value));
        Assert.Equal(99ul, value);
        Assert.Equal(2 * Block, _device.Plugged);
    }

    [Fact]
    public void A_listener_that_refuses_makes_the_device_busy()
    {
        Refuser refuser = new();
        _memory.Listen(refuser);
        refuser.Refuses = Start + Chunk;
        Assert.Equal(VirtioMemAnswer.Busy, Plug(60, 8));     // its first blocks had been plugged by then
        Assert.Equal(0ul, _device.Plugged);
        Assert.Equal((VirtioMemAnswer.Ack, VirtioMemState.Unplugged), State(0, 100));
        refuser.Refuses = 0;
        Assert.Equal(VirtioMemAnswer.Ack, Plug(60, 8));
    }

    [Fact]
    public void A_request_that_is_cut_short_is_an_error_and_one_without_room_breaks_the_queue()
    {
        _queue.DescribeChain(0, null, new(_queue.Data, 23, false), new(_queue.Data + 64, 10, true));
        Assert.Equal(10u, _queue.Transact(0)!.Value.Len);
        Assert.Equal((ushort)VirtioMemAnswer.Error, _queue.Ram.Load<ushort>(_queue.Data + 64));
        _queue.DescribeChain(0, null, new(_queue.Data, 24, false), new(_queue.Data + 64, 9, true));
        Assert.Null(_queue.Transact(0));
        Assert.True(_guest.NeedsReset);
    }

    private VirtioMemAnswer Plug(uint block, uint count) => Ask(VirtioMemRequestType.Plug, Start + (block * Block), (ushort)count);

    private VirtioMemAnswer Unplug(uint block, uint count) => Ask(VirtioMemRequestType.Unplug, Start + (block * Block), (ushort)count);

    private (VirtioMemAnswer, VirtioMemState) State(uint block, uint count) =>
        (Ask(VirtioMemRequestType.State, Start + (block * Block), (ushort)count), (VirtioMemState)_queue.Ram.Load<ushort>(_queue.Data + 72));

    private VirtioMemAnswer Ask(VirtioMemRequestType type, ulong address, ushort count)
    {
        _queue.Ram.Store(_queue.Data, new VirtioMemRequest { Type = (ushort)type, Addr = address, Blocks = count });
        _queue.DescribeChain(0, null, new(_queue.Data, 24, false), new(_queue.Data + 64, 10, true));
        Assert.Equal(10u, _queue.Transact(0)!.Value.Len);
        return (VirtioMemAnswer)_queue.Ram.Load<ushort>(_queue.Data + 64);
    }

    private sealed class Refuser : IMemoryListener
    {
        internal ulong Refuses { get; set; }

        public void Added(in MemoryRegion part)
        {
            if (Refuses != 0 && part.GuestAddress == Refuses) throw MicroVmException.Host("no", "here", "Try later");
        }
    }
}
