using MicroVm.Devices;
using MicroVm.Diagnostics.Explain;
using MicroVm.Kvm;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Explain;

/// <summary>The walk of page tables that a guest made, well or with malice.</summary>
public sealed class PageTablesTests : IDisposable
{
    private const ulong Ram = 16 << 20, Root = 0x10_0000, Rw = (ulong)(PageEntry.Present | PageEntry.Writable), Address = 0x0000_1234_5678_9abc;

    private readonly GuestMemory _memory = GuestMemory.Allocate(Ram, MachineMap.LowMemory.End, MachineMap.HighMemory.Start);

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(false, 4)]
    [InlineData(true, 5)]
    public void Each_level_is_followed_to_a_page_of_4_KiB(bool five, int levels)
    {
        ulong table = Root;
        for (int level = levels; level > 0; level--, table += 0x1000) Put(table, Index(Address, level), (table + 0x1000) | Rw);
        PageTables walk = Walk(Address, five);
        Assert.Equal(levels, walk.Steps.Count);
        Assert.Equal($"{levels} levels", walk.Mode);
        Assert.Equal(table | (Address & 0xfff), walk.Physical);
        Assert.Equal(0x1000ul, walk.PageSize);
        Assert.Equal("Present, Writable", PageTables.Flags(walk.Steps[0]));
    }

    [Theory]
    [InlineData(2, 0x20_0000ul)]
    [InlineData(3, 0x4000_0000ul)]
    public void Large_pages_end_the_walk(int at, ulong size)
    {
        ulong table = Root;
        for (int level = 4; level > at; level--, table += 0x1000) Put(table, Index(Address, level), (table + 0x1000) | Rw);
        // Bits below the page's size (PAT among them) are no part of its address.
        Put(table, Index(Address, at), (size * 3) | 0x1000 | Rw | (ulong)PageEntry.Large);
        PageTables walk = Walk(Address);
        Assert.Equal(size, walk.PageSize);
        Assert.Equal((size * 3) | (Address & (size - 1)), walk.Physical);
        Assert.Contains("Large", PageTables.Flags(walk.Steps[^1]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_table_that_points_at_itself_ends_with_its_levels()
    {
        for (int i = 0; i < X86Const.PageTableEntries; i++) Put(Root, i, Root | Rw);
        PageTables walk = Walk(0xffff_8000_0000_0000, five: false);
        Assert.Equal(4, walk.Steps.Count);
        Assert.Equal(Root, walk.Physical);
    }

    [Theory]
    [InlineData(0x000f_ffff_ffff_f000ul)]
    [InlineData(Ram)]
    [InlineData(0xe000_0000ul)]
    public void A_table_outside_RAM_ends_it(ulong nowhere)
    {
        Put(Root, Index(Address, 4), nowhere | Rw);
        PageTables walk = Walk(Address);
        Assert.Equal(2, walk.Steps.Count);
        Assert.Null(walk.Physical);
        Assert.Null(walk.Steps[1].Entry);
        Assert.Contains("not in RAM", walk.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void Entries_that_no_processor_takes_end_it()
    {
        Assert.Equal("not present", Walk(Address).Failure);
        Put(Root, Index(Address, 4), Root | Rw | (ulong)PageEntry.Large);
        Assert.Contains("cannot map a page", Walk(Address).Failure, StringComparison.Ordinal);
        Assert.Contains("not canonical", Walk(0x0000_8000_0000_0000).Failure, StringComparison.Ordinal);
        // 57 bits are canonical where there are five levels.
        Assert.Equal("not present", Walk(0x0000_8000_0000_0000, five: true).Failure);
    }

    [Fact]
    public void Without_paging_an_address_is_physical()
    {
        KvmAbi.SystemRegisters cpu = default;
        Assert.Equal(Address, PageTables.Walk(_memory, cpu, Address).Physical);
        cpu.Cr0 = (ulong)Cr0.Paging;
        Assert.Contains("64-bit", PageTables.Walk(_memory, cpu, Address).Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_tables_never_fail()
    {
        Random random = new(1);
        byte[] noise = new byte[64 << 10];
        random.NextBytes(noise);
        Assert.True(_memory.TryWrite(Root, noise));
        for (int i = 0; i < 10_000; i++)
        {
            PageTables walk = Walk((ulong)random.NextInt64(), five: (i & 1) != 0);
            Assert.True(walk.Physical is not null ^ walk.Failure is not null);
            Assert.InRange(walk.Steps.Count, 0, 5);
        }
    }

    private PageTables Walk(ulong address, bool five = false)
    {
        KvmAbi.SystemRegisters cpu = new() { Cr0 = (ulong)Cr0.Paging, Cr3 = Root | 0x18, Cr4 = five ? (ulong)Cr4.FiveLevels : 0, Efer = (ulong)Efer.LongModeActive };
        return PageTables.Walk(_memory, cpu, address);
    }

    private static int Index(ulong address, int level) => (int)(address >> (12 + 9 * (level - 1)) & 0x1ff);

    private void Put(ulong table, int index, ulong entry) => Assert.True(_memory.TryWrite(table + (ulong)index * 8, entry));
}
