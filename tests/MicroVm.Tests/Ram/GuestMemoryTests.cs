using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Ram;

/// <summary>Guest memory that comes and goes: what readers see, what listeners are told, and that no range that is still held becomes bad memory.</summary>
public sealed class GuestMemoryTests : IDisposable
{
    private const ulong Low = 4 << 20, High = 1UL << 32, Room = 64 << 20, Piece = 2 << 20;

    private readonly GuestMemory _memory = GuestMemory.Allocate(Low, 1UL << 31, High, Room);
    private readonly Recorder _recorder = new();

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void What_was_added_is_memory_and_what_was_removed_is_none()
    {
        Assert.False(_memory.TryRange(High, 1, out _));
        _memory.Add(High, Piece);
        Assert.True(_memory.TryWrite(High + Piece - 8, 0x1234_5678UL));
        Assert.False(_memory.TryRange(High + Piece - 4, 8, out _));
        Assert.Equal(Low + Piece, _memory.Present);
        _ = _memory.TryRemove(High);
        Assert.False(_memory.TryRange(High, 1, out _));
        Assert.Equal(Low, _memory.Present);
        Assert.Equal(Low, _memory.Size);
    }

    [Fact]
    public void Memory_that_comes_again_is_zeros()
    {
        _memory.Add(High, Piece);
        Assert.True(_memory.TryWrite(High + 4096, 1UL));
        _ = _memory.TryRemove(High);
        _memory.Add(High, Piece);
        Assert.True(_memory.TryRead(High + 4096, out ulong value));
        Assert.Equal(0UL, value);
    }

    [Fact]
    public void A_range_that_is_held_outlives_its_memory()
    {
        _memory.Add(High, Piece);
        Assert.True(_memory.TryRange(High, Piece, out HostRange held));
        held.Span.Fill(0xaa);
        _ = _memory.TryRemove(High);
        Assert.Equal(-1, held.Span.IndexOfAnyExcept((byte)0));   // the guest's bytes went with it
        held.Span.Fill(0xbb);
    }

    [Fact]
    public void What_touches_is_one_region()
    {
        _memory.Add(High, Piece);
        _memory.Add(High + (2 * Piece), Piece);
        Assert.Equal(3, _memory.Regions.Length);
        _memory.Add(High + Piece, Piece);
        Assert.Equal(2, _memory.Regions.Length);
        Assert.True(_memory.TryRange(High, 3 * Piece, out HostRange all));
        all.Store((2 * Piece) - 4, 0x0102_0304_0506_0708UL);   // across the seam
        Assert.True(_memory.TryRead(High + (2 * Piece), out uint upper));
        Assert.Equal(0x0102_0304u, upper);
        _ = _memory.TryRemove(High + Piece);
        Assert.Equal(3, _memory.Regions.Length);
        Assert.False(_memory.TryRange(High, Piece + 1, out _));
    }

    [Fact]
    public void Listeners_hear_of_what_is_there_and_of_each_change()
    {
        _memory.Listen(_recorder);
        _memory.Add(High, Piece);
        _ = _memory.TryRemove(High);
        _memory.Unlisten(_recorder);
        _memory.Add(High, Piece);
        Assert.Equal(["+0", "=1", $"+{High:x}", "=2", "=1", $"-{High:x}"], _recorder.Heard);
    }

    [Fact]
    public void A_listener_that_refuses_undoes_the_change_for_all()
    {
        Recorder refuses = new();
        _memory.Listen(_recorder);
        _memory.Listen(refuses);
        refuses.Refuse = true;
        Assert.Throws<MicroVmException>(() => _memory.Add(High, Piece));
        Assert.False(_memory.TryRange(High, 1, out _));
        Assert.Equal(["+0", "=1", $"+{High:x}", "=2", "=1", $"-{High:x}"], _recorder.Heard);
        refuses.Refuse = false;
        _memory.Add(High, Piece);
        Assert.True(_memory.TryRange(High, Piece, out _));
    }

    [Fact]
    public void Places_are_apart_and_inside_the_room()
    {
        ulong first = _memory.Place(Piece + 4096, Piece), second = _memory.Place(Piece, Piece);
        Assert.Equal(_memory.PlugStart, first);
        Assert.Equal(first + (2 * Piece), second);
        Assert.Throws<InvalidOperationException>(() => _memory.Place(Room, Piece));
        Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Add(_memory.PlugEnd, Piece));
        Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Add(0, Piece));
        _memory.Add(first, Piece);
        Assert.Throws<ArgumentException>(() => _memory.Add(first + Piece - 4096, Piece));
    }

    [Fact]
    public void Room_begins_behind_what_the_guest_starts_with()
    {
        using GuestMemory memory = GuestMemory.Allocate(8 << 20, 4 << 20, High, Room);
        Assert.Equal(2, memory.Regions.Length);
        Assert.Equal(High + GuestMemory.PlugAlignment, memory.PlugStart);
        memory.Add(memory.PlugStart, Piece);
        Assert.False(memory.TryRange(High, 5 << 20, out _));
        Assert.True(memory.TryRange(memory.PlugStart, Piece, out _));
    }

    [Fact]
    public async Task Readers_meet_changes_without_a_lock()
    {
        using CancellationTokenSource stop = new();
        Task reader = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                if (_memory.TryRange(High, Piece, out HostRange range)) range.Store(8, range.Load<ulong>(0) + 1);
                Assert.True(_memory.TryRead(0, out ulong _));
            }
        });
        for (int i = 0; i < 500; i++)
        {
            _memory.Add(High, Piece);
            _ = _memory.TryRemove(High);
        }
        await stop.CancelAsync();
        await reader;
    }

    private sealed class Recorder : IMemoryListener
    {
        internal List<string> Heard { get; } = [];
        internal bool Refuse { get; set; }

        public void Added(in MemoryRegion part)
        {
            if (Refuse) throw MicroVmException.Host("no", "here", "Try later");
            Heard.Add($"+{part.GuestAddress:x}");
        }

        public void Removed(in MemoryRegion part) => Heard.Add($"-{part.GuestAddress:x}");

        public void Changed(ReadOnlySpan<MemoryRegion> regions) => Heard.Add($"={regions.Length}");
    }
}
