using MicroVm.Bus;
using MicroVm.Conformance.Tests;

namespace MicroVm.Fuzz;

/// <summary>Every declared block under accesses that its catalogue suggests: the right offsets with wrong values and widths, in an order nobody thought of.</summary>
public sealed class RegisterFuzz
{
    public static TheoryData<string> Blocks => Subjects.All;

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Block(string name) => FuzzRun.Run(name, random => Live(name, random), Subjects.All.Count);

    private static void Live(string name, Random random)
    {
        using Subject s = Subjects.Make(name);
        for (int i = 0; i < 2000; i++)
        {
            (uint offset, int width) = Place(s.Info, random);
            if (random.Next(3) == 0)
            {
                IoStatus read = s.Block.Read(offset, width, out ulong value);
                Assert.True(Enum.IsDefined(read));
                if (read != IoStatus.Ok) Assert.Equal(0ul, value);
                else if (width < 8) Assert.Equal(0ul, value >> (8 * width));
            }
            else
            {
                Assert.True(Enum.IsDefined(s.Block.Write(offset, width, Value(random))));
            }
        }
        if (s.Info.SnapshotTag is null) return;
        // Whatever state the guest brought it into, it is one that can be saved and had again.
        byte[] state = s.Save();
        s.Load(state);
        Assert.Equal(state, s.Save());
    }

    private static (uint Offset, int Width) Place(BlockInfo info, Random random)
    {
        if (random.Next(8) == 0) return ((uint)random.NextInt64(1L << 32), random.Next(-1, 17));
        RegisterInfo r = info.Registers[random.Next(info.Registers.Length)];
        uint offset = r.Offset + (r.Width == 0 ? 0 : (uint)random.Next((int)r.Width));
        return random.Next(4) == 0 ? (offset, 1 << random.Next(4)) : (r.Offset, r.Width());
    }

    private static ulong Value(Random random) => random.Next(5) switch
    {
        0 => (ulong)random.Next(16),
        1 => 1ul << random.Next(64),
        2 => ~(1ul << random.Next(64)),
        3 => 0,
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };
}
