using MicroVm.Diagnostics.Explain;
using Xunit;

namespace MicroVm.Tests.Explain;

/// <summary>Small rules of the picture.</summary>
public sealed class PictureTests
{
    [Fact]
    public void Features_have_their_declared_names()
    {
        VirtioNames names = new();
        Assert.Equal("Request", names.Queue(2, 0));
        Assert.Null(names.Queue(2, 99));
        Assert.Null(names.Queue(999, 0));
        Assert.Contains("Flush", names.Features(2, 1ul << 9), StringComparison.Ordinal);
        Assert.Equal("Version1 bit 63", names.Features(999, 1ul << 32 | 1ul << 63));
    }

    [Theory]
    [InlineData((ushort)5, (ushort)5, "asked for at 6")]
    [InlineData((ushort)4, (ushort)5, "not asked for (4)")]
    [InlineData((ushort)0xffff, (ushort)0xffff, "asked for at 0")]
    [InlineData((ushort)0, (ushort)0xffff, "asked for at 1")]
    [InlineData((ushort)9000, (ushort)5, "not asked for (9000)")]
    public void A_wish_for_an_event_is_one_of_the_next_entries(ushort wish, ushort index, string expected) => Assert.Equal(expected, VirtioPicture.EventText(wish, index, 256));

    [Fact]
    public void A_ring_in_nowhere_is_said() => Assert.Equal("its ring is not in RAM", VirtioPicture.EventText(null, 5, 256));

    [Fact]
    public void Counts_of_the_host_are_sums_over_its_processors()
    {
        HostInterrupts counts = HostInterrupts.Parse("            CPU0       CPU1\n  24:          5          7  PCI-MSI 65536-edge      vfio-msix[0](0000:00:04.0)\n  25:          1          0  PCI-MSI 65537-edge      vfio-msix[1](0000:00:04.0)\nERR: 0\n");
        Assert.Equal(12L, counts.Of("vfio-msix[0](0000:00:04.0)"));
        Assert.Equal(1L, counts.Of("vfio-msix[1](0000:00:04.0)"));
        Assert.IsType<string>(counts.Of("vfio-intx(0000:00:04.0)"));
    }

    [Fact]
    public void A_row_has_a_cell_for_each_column() => Assert.Throws<ArgumentException>(() => new Section("x", "a", "b").Add(1));
}
