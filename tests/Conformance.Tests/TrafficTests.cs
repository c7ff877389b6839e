using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Snapshot;
using MicroVm.Tests;

namespace MicroVm.Conformance.Tests;

/// <summary>Blocks under random accesses: they survive, say the same in the page and in dispatch, allocate nothing, and are restored as they were.</summary>
public sealed class TrafficTests
{
    public static TheoryData<string> Blocks => Subjects.All;

    public static TheoryData<string> WithPage => Where(static b => b.Registers.Any(static r => r.Has(RegisterTraits.Resident)));

    public static TheoryData<string> WithState => Where(static b => b.SnapshotTag is not null);

    public static TheoryData<string> WithoutState => Where(static b => b.SnapshotTag is null);

    private static TheoryData<string> Where(Func<BlockInfo, bool> wanted) => [.. RegisterCatalog.All.Where(wanted).Select(static b => b.Name)];

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Nothing_a_guest_does_is_an_exception(string name)
    {
        Subject s = Subjects.Make(name);
        var random = new Random(1);
        for (int i = 0; i < 50_000; i++)
        {
            uint offset = random.Next(8) == 0 ? (uint)random.NextInt64(1L << 32) : (uint)random.Next((int)s.Info.Size + 8);
            int width = random.Next(8) == 0 ? random.Next(-1, 17) : 1 << random.Next(4);
            IoStatus status = random.Next(2) == 0 ? s.Block.Write(offset, width, Value(random)) : Read(offset, width);
            Assert.True(Enum.IsDefined(status));
        }

        IoStatus Read(uint offset, int width)
        {
            IoStatus status = s.Block.Read(offset, width, out ulong value);
            if (status != IoStatus.Ok) Assert.Equal(0ul, value);
            else if (width < 8) Assert.Equal(0ul, value >> (8 * width));
            return status;
        }
    }

    [Theory]
    [MemberData(nameof(WithPage))]
    public void Page_and_dispatch_say_the_same(string name)
    {
        Subject s = Subjects.Make(name);
        RegisterInfo[] resident = [.. s.Info.Registers.Where(static r => r.Has(RegisterTraits.Resident))];
        var random = new Random(2);
        for (int i = 0; i < 10_000; i++)
        {
            Random(s, random, out uint offset, out int width, out bool write);
            if (write) s.Block.Write(offset, width, Value(random));
            else s.Block.Read(offset, width, out _);
            foreach (RegisterInfo r in resident) Compare(s, r, random);
        }
    }

    private static void Compare(Subject s, RegisterInfo r, Random random)
    {
        if (r.Has(RegisterTraits.Window))
        {
            uint at = r.Offset + (uint)random.Next((int)r.Width);
            Assert.Equal(IoStatus.Ok, s.Block.Read(at, 1, out ulong seen));
            Assert.Equal(s.Page!.Load<byte>(at), seen);
            return;
        }
        Assert.Equal(IoStatus.Ok, s.Read(r, out ulong value));
        ulong there = r.Width switch
        {
            1 => s.Page!.Load<byte>(r.Offset), 2 => s.Page!.Load<ushort>(r.Offset), 4 => s.Page!.Load<uint>(r.Offset), _ => s.Page!.Load<ulong>(r.Offset),
        };
        Assert.True(there == value, $"{r.Name}: 0x{there:x} in the page, 0x{value:x} by dispatch");
    }

    [Theory]
    [MemberData(nameof(WithoutState))]
    public void A_block_without_state_saves_nothing(string name)
    {
        Subject s = Subjects.Make(name);
        Mutate(s, new Random(3), 200);
        Assert.Empty(s.Save());
    }

    [Theory]
    [MemberData(nameof(WithState))]
    public void Restored_is_equal_and_mutated_was_not(string name)
    {
        Subject s = Subjects.Make(name);
        var random = new Random(3);
        Mutate(s, random, 200);
        byte[] saved = s.Save();
        byte[] mutated = saved;
        for (int tries = 0; tries < 50 && mutated.AsSpan().SequenceEqual(saved); tries++)
        {
            Mutate(s, random, 50);
            mutated = s.Save();
        }
        Assert.NotEqual(saved, mutated);
        s.Load(saved);
        Assert.Equal(saved, s.Save());
        // Restore is a constructor: a fresh block takes the state as well.
        Subject fresh = Subjects.Make(name);
        fresh.Load(saved);
        Assert.Equal(saved, fresh.Save());
    }

    private static void Mutate(Subject s, Random random, int accesses)
    {
        for (int i = 0; i < accesses; i++)
        {
            Random(s, random, out uint offset, out int width, out _);
            s.Block.Write(offset, width, Value(random));
        }
        foreach (RegisterInfo r in s.Info.Registers.Where(static r => r.Has(RegisterTraits.Atomic))) s.Force(r, (ulong)random.Next(4));
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Unknown_tags_are_skipped(string name)
    {
        Subject s = Subjects.Make(name);
        byte[] state = s.Save();
        s.Load([.. state, .. Entry(0xfff0_0000, 4)]);
        Assert.Equal(state, s.Save());
        s.Load([]);
        Assert.Equal(state, s.Save());
    }

    [Theory]
    [MemberData(nameof(WithState))]
    public void State_that_is_cut_short_or_of_another_length_is_refused(string name)
    {
        Subject s = Subjects.Make(name);
        byte[] state = s.Save();
        Assert.Throws<SnapshotException>(() => s.Load([.. state[..8], 16, 0, 0, 0, .. new byte[16]]));
        Assert.Throws<SnapshotException>(() => s.Load(state[..^1]));
    }

    private static byte[] Entry(ulong tag, int length) => [.. BitConverter.GetBytes(tag), .. BitConverter.GetBytes(length), .. new byte[length]];

    [Fact]
    public void A_million_accesses_allocate_nothing()
    {
        Subject[] all = [.. Subjects.Known.Select(Subjects.Make)];
        int each = 1_000_000 / all.Length + 1;
        foreach (Subject s in all)
        {
            uint starts = s.Starts is null ? uint.MaxValue : s.Register(s.Starts).Offset;
            long least = Allocations.Least(() => Run(s, starts, each));
            Assert.True(least == 0, $"{s.Info.Name} allocates: {least} bytes in {each} accesses");
        }
    }

    private static void Run(Subject s, uint starts, int count)
    {
        ulong state = 5;
        for (int i = 0; i < count; i++)
        {
            state = state * 6364136223846793005 + 1442695040888963407;
            uint offset = (uint)(state >> 33) % (s.Info.Size > 0x200 ? 0x200u : s.Info.Size + 2);
            int width = 1 << (int)((state >> 30) & 3);
            // Most accesses of a guest are of the legal width, and aligned.
            if (s.Info.Rule == AccessRule.Exact && (state >> 20 & 7) != 0) width = s.Info.ExactWidth;
            if (s.Info.Rule == AccessRule.Exact) offset -= offset % (uint)width;
            // To activate a device is the one thing that may allocate.
            if ((state >> 29 & 1) == 0 || offset == starts) s.Block.Read(offset, width, out _);
            else s.Block.Write(offset, width, state >> 12);
        }
    }

    private static void Random(Subject s, Random random, out uint offset, out int width, out bool write)
    {
        RegisterInfo r = s.Info.Registers[random.Next(s.Info.Registers.Length)];
        while (r.IndexedBy is not null) r = s.Info.Registers[random.Next(s.Info.Registers.Length)];
        write = random.Next(3) != 0;
        if (r.Has(RegisterTraits.Window))
        {
            width = 1 << random.Next(4);
            offset = r.Offset + (uint)random.Next((int)Math.Min(r.Width, 64));
            return;
        }
        width = s.Info.Rule == AccessRule.Any ? 1 << random.Next(4) : r.Width();
        offset = r.HighHalf >= 0 && random.Next(2) == 0 ? (uint)r.HighHalf : r.Offset + r.Stride * (uint)random.Next((int)r.Count);
    }

    /// <summary>Small numbers, single bits and anything.</summary>
    private static ulong Value(Random random) => random.Next(3) switch
    {
        0 => (ulong)random.Next(64),
        1 => 1ul << random.Next(64),
        _ => (ulong)random.NextInt64() << 1 | (uint)random.Next(2),
    };
}
