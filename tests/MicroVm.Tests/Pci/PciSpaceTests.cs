using MicroVm.Pci;
using Xunit;

namespace MicroVm.Tests.Pci;

/// <summary>First addresses of BARs: pieces of all sizes, taken and given back in any order.</summary>
public sealed class PciSpaceTests
{
    private const ulong Start = 0x40_0000_0000, Bytes = 1 << 20, Least = 0x1000;

    [Fact]
    public void A_small_piece_after_a_large_one_is_not_where_another_is()
    {
        PciSpace space = new(Start, Start + Bytes);
        ulong[] sizes = [0x4000, 0x4000, 0x4_0000, 0x4000];
        ulong[] places = Array.ConvertAll(sizes, size => space.Take(size, size) - Start);
        Assert.Equal([0ul, 0x4000, 0x4_0000, 0x8000], places);
    }

    [Fact]
    public void No_piece_overlaps_another_and_each_is_the_lowest_that_is_free()
    {
        Random random = new(7);
        for (int round = 0; round < 300; round++)
        {
            PciSpace space = new(Start, Start + Bytes);
            List<(ulong At, ulong Size)> taken = [];
            for (int step = 0; step < 100; step++)
            {
                if (taken.Count != 0 && random.Next(3) == 0)
                {
                    int which = random.Next(taken.Count);
                    space.Give(taken[which].At);
                    taken.RemoveAt(which);
                    continue;
                }
                ulong size = Least << random.Next(8);
                if (Lowest(taken, size) is not { } wanted)
                {
                    Assert.Throws<MicroVmException>(() => space.Take(size, size));
                    continue;
                }
                Assert.Equal(wanted, space.Take(size, size));
                taken.Add((wanted, size));
            }
        }
    }

    private static ulong? Lowest(List<(ulong At, ulong Size)> taken, ulong size)
    {
        for (ulong at = Start; at + size <= Start + Bytes; at += size)
        {
            if (!taken.Exists(t => at < t.At + t.Size && t.At < at + size)) return at;
        }
        return null;
    }
}
