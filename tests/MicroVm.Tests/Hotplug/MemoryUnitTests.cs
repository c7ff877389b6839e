using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Hotplug;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Hotplug;

/// <summary>DIMMs with a guest that answers as it is told to, on a thread of its own, and somebody who follows the guest's memory.</summary>
public sealed class MemoryUnitTests : IDisposable
{
    private const ulong High = 0x1_0000_0000, Piece = MemoryUnits.BlockBytes, Giga = 1UL << 30;
    private static readonly TimeSpan s_long = TimeSpan.FromSeconds(20), s_short = TimeSpan.FromMilliseconds(50);

    private readonly AddressSpace _mmio = new("mmio");
    private readonly GuestErrors _errors = new(null);
    private readonly GuestMemory _memory = GuestMemory.Allocate(4 << 20, 0xc000_0000, High, MemoryUnits.RoomFor(4 * Giga));
    private readonly Follower _follower = new();
    private readonly HotplugUnits _all;
    private readonly MemoryUnits _dimms;
    private readonly Thread _answers;
    private volatile bool _stop;
    private volatile int _insertion, _eject;

    public MemoryUnitTests()
    {
        _all = new HotplugUnits(_mmio, _errors);
        _dimms = new MemoryUnits(_all, _memory, _memory.PlugStart, 4 * Giga);
        _memory.Listen(_follower);
        _answers = new Thread(Answer) { IsBackground = true };
        _answers.Start();
    }

    public void Dispose()
    {
        _stop = true;
        _answers.Join();
        _all.Join();
        _all.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Memory_comes_and_goes_and_its_registers_say_where_it_is()
    {
        for (int i = 0; i < 10; i++)
        {
            Dimm dimm = _dimms.Add(3 * Piece, "a", s_long);
            Assert.Equal((High, 3 * Piece), (dimm.Start, dimm.Bytes));
            Assert.Equal((High, 3 * Piece), (Read(HotplugUnits.RangeAddress(0), 8), Read(HotplugUnits.RangeAddress(0) + 8, 8)));
            Assert.True(_memory.TryWrite(High + (3 * Piece) - 8, 0x5a5aUL));
            Assert.Equal(3 * Piece, _follower.Bytes);
            _dimms.Remove(dimm, s_long);
            Assert.Equal((0ul, 0ul), (Read(HotplugUnits.RangeAddress(0), 8), Read(HotplugUnits.RangeAddress(0) + 8, 8)));
            Assert.False(_memory.TryRange(High, 1, out _));
            Assert.Equal((0ul, 0ul), (_follower.Bytes, _dimms.PresentBytes));
        }
        // What comes to the place is fresh.
        _ = _dimms.Add(3 * Piece, "b", s_long);
        Assert.True(_memory.TryRead(High + (3 * Piece) - 8, out ulong old));
        Assert.Equal((0ul, 0L), (old, _errors.Count));
    }

    [Fact]
    public void Each_begins_at_a_gibibyte_in_the_first_gap_that_is_large_enough()
    {
        Dimm a = _dimms.Add(Piece, "a", s_long), b = _dimms.Add(Giga + Piece, "b", s_long), c = _dimms.Add(Piece, "c", s_long);
        Assert.Equal((High, High + Giga, High + (3 * Giga)), (a.Start, b.Start, c.Start));
        _dimms.Remove(b, s_long);
        Assert.Equal((High + Giga, High + (2 * Giga)), (_dimms.Add(Giga, "d", s_long).Start, _dimms.Add(Piece, "e", s_long).Start));
        Assert.Equal(["a", "c", "d", "e"], _dimms.Present.Select(static d => d.Id));
    }

    [Fact]
    public void What_cannot_be_is_refused_and_changes_nothing()
    {
        Refused("not a size of a DIMM, 0 MiB.", 0);
        Refused("not a size of a DIMM, 192 MiB.", 192 << 20);
        Refused("the machine cannot have that much memory, 4224 MiB more. Give at most 4096M", (4 * Giga) + Piece);
        for (int i = 0; i < MemoryUnits.Count; i++) _ = _dimms.Add(Piece, $"d{i}", s_long);
        Refused("every DIMM slot is taken, 8.", Piece);
        Assert.Equal(MemoryUnits.Count * Piece, _dimms.PresentBytes);
    }

    [Fact]
    public void Gaps_that_are_too_small_are_named()
    {
        // Of twelve gibibytes of addresses the first six are taken a piece each, and the tenth: three are left between, two behind.
        Dimm[] first = [.. Enumerable.Range(0, 6).Select(i => _dimms.Add(i % 2 == 0 ? Giga : Piece, $"d{i}", s_long))];
        foreach (int i in (int[])[0, 2, 4]) _dimms.Remove(first[i], s_long);
        foreach (int i in (int[])[0, 2, 4]) Assert.Equal(first[i].Start, _dimms.Add(Piece, $"d{i}", s_long).Start);
        Dimm large = _dimms.Add(3 * Giga, "large", s_long);
        Assert.Equal(High + (9 * Giga), _dimms.Add(Piece, "last", s_long).Start);
        _dimms.Remove(large, s_long);
        Refused("no place is large enough for that DIMM, 3200 MiB", (3 * Giga) + Piece);
        Assert.Equal(large.Start, _dimms.Add(3 * Giga, "again", s_long).Start);
    }

    [Fact]
    public void A_host_that_refuses_leaves_the_unit_empty()
    {
        _follower.Refuse = true;
        _ = Assert.Throws<MicroVmException>(() => _dimms.Add(Piece, "a", s_long));
        Assert.Equal((0ul, 0ul), (_dimms.PresentBytes, Read(HotplugUnits.Address(UnitKind.Memory, 0), 4)));
        _follower.Refuse = false;
        Assert.Equal(High, _dimms.Add(Piece, "a", s_long).Start);
    }

    // The guest must not keep a slot of memory that everyone else knows to be gone.
    [Fact]
    public void A_listener_that_fails_when_memory_goes_keeps_nobody_else_from_hearing_of_it()
    {
        Follower last = new();
        _memory.Listen(last);
        Dimm dimm = _dimms.Add(Piece, "a", s_long);
        last.RefuseChange = true;
        _dimms.Remove(dimm, s_long);
        Assert.Equal((0ul, 0ul, 0ul), (_follower.Bytes, last.Bytes, _dimms.PresentBytes));
        Assert.False(_memory.TryRange(dimm.Start, 1, out _));
    }

    [Fact]
    public void What_the_guest_refuses_is_said_in_words_and_undone()
    {
        _insertion = 0x81;
        Assert.Equal("the guest did not take it in, a: its driver did not load (status 0x81). It has been taken out again; see the guest's log.",
            Assert.Throws<GuestRefusedException>(() => _dimms.Add(Piece, "a", s_long)).Message);
        Assert.Equal((0ul, 0ul), (_follower.Bytes, _dimms.PresentBytes));
        _insertion = 0;
        Dimm dimm = _dimms.Add(Piece, "a", s_long);
        _eject = 0x82;
        Assert.Equal(0x82u, Assert.Throws<GuestRefusedException>(() => _dimms.Remove(dimm, s_long)).Status);
        Assert.True(_memory.TryRange(dimm.Start, Piece, out _));
        _eject = -1;
        Assert.Null(Assert.Throws<GuestRefusedException>(() => _dimms.Remove(dimm, s_short)).Status);
        // It answers late, and the eject takes place all the same.
        Write(HotplugUnits.Address(UnitKind.Memory, 0) + 4, 4);
        Assert.True(_all.Wait(() => _dimms.PresentBytes == 0, Environment.TickCount64 + 5000));
        _dimms.Remove(dimm, s_long);
    }

    [Fact]
    public void A_hostile_guest_ejects_all_the_time()
    {
        Thread writer = new(() =>
        {
            Random random = new(7);
            while (!_stop) Write(HotplugUnits.Address(UnitKind.Memory, random.Next(MemoryUnits.Count)) + 4 + (4 * (ulong)random.Next(3)), random.Next(3) == 0 ? 4u : (uint)random.Next());
        }) { IsBackground = true };
        writer.Start();
        for (int i = 0; i < 50; i++)
        {
            try
            {
                Dimm dimm = _dimms.Add(Piece, "a", s_short);
                _dimms.Remove(dimm, s_short);
            }
            catch (MicroVmException)
            {
                // Gone at once, or not answered in time.
            }
        }
        _stop = true;
        writer.Join();
        _answers.Join();
        for (int i = 0; i < MemoryUnits.Count; i++) Write(HotplugUnits.Address(UnitKind.Memory, i) + 4, 4);
        _all.Join();
        Assert.Equal((0ul, 0ul, 1), (_follower.Bytes, _dimms.PresentBytes, _memory.Regions.Length));
    }

    private void Refused(string message, ulong bytes, MemoryUnits? dimms = null) =>
        Assert.Contains(message, Assert.Throws<MicroVmException>(() => (dimms ?? _dimms).Add(bytes, "x", s_long)).Message, StringComparison.Ordinal);

    // The guest: takes note, and answers what the test wants of it; nothing at -1.
    private void Answer()
    {
        while (!_stop)
        {
            for (int i = 0; i < MemoryUnits.Count; i++)
            {
                ulong unit = HotplugUnits.Address(UnitKind.Memory, i);
                ulong status = Read(unit, 4);
                if ((status & 0x100) != 0) Tell(unit, 1, _insertion, source: 1);
                if ((status & 0x200) != 0) Tell(unit, 2, _eject, source: 3);
            }
            Thread.Sleep(0);
        }
    }

    private void Tell(ulong unit, uint told, int outcome, uint source)
    {
        Write(unit + 4, told);
        if (outcome < 0 || (source == 1 && (Read(unit, 4) & 0xf) == 0)) return;
        if (source == 3 && outcome == 0)
        {
            Write(unit + 4, 4);
            while (!_stop && (Read(unit, 4) & 0x400) != 0) Thread.Sleep(0);
        }
        Write(unit + 8, source);
        Write(unit + 12, (uint)outcome);
    }

    private ulong Read(ulong address, int width)
    {
        IRegisterBlock block = _mmio.Find(address, width, out uint offset)!;
        lock (block.Gate)
        {
            _ = block.Read(offset, width, out ulong value);
            return value;
        }
    }

    private void Write(ulong address, uint value)
    {
        IRegisterBlock block = _mmio.Find(address, 4, out uint offset)!;
        lock (block.Gate) _ = block.Write(offset, 4, value);
    }

    private sealed class Follower : IMemoryListener
    {
        internal bool Refuse { get; set; }

        internal bool RefuseChange { get; set; }

        /// <summary>Bytes that came later.</summary>
        internal ulong Bytes { get; private set; }

        public void Added(in MemoryRegion part)
        {
            if (Refuse) throw MicroVmException.Host("no", "here", "Try later");
            if (part.GuestAddress >= High) Bytes += part.Length;
        }

        public void Changed(ReadOnlySpan<MemoryRegion> regions)
        {
            if (RefuseChange) throw MicroVmException.Host("no", "here", "Try later");
        }

        public void Removed(in MemoryRegion part)
        {
            if (!Refuse) Bytes -= part.Length;
        }
    }
}
