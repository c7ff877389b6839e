using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Diagnostics.Explain;

/// <summary>One entry on the way from a guest virtual to a guest physical address.</summary>
/// <param name="Level">5 to 1; 1 maps a page of 4 KiB.</param>
/// <param name="Table">Guest physical address of the table.</param>
/// <param name="Index">Entry of it.</param>
/// <param name="Entry">Its value, or null where the table is not in RAM.</param>
internal readonly record struct PageStep(int Level, ulong Table, int Index, ulong? Entry);

/// <summary>The walk of a guest's page tables, as its processor does it (Intel SDM 3A, 4.5), without setting accessed or dirty bits.</summary>
/// <remarks>It takes as many steps as there are levels, wherever the entries lead: tables that point at themselves end it too. Each entry is read once.</remarks>
internal sealed class PageTables
{
    private const int IndexBits = 9, PageBits = 12;

    private readonly List<PageStep> _steps = [];

    private PageTables()
    {
    }

    /// <summary>Paging as the vCPU had it, in words.</summary>
    internal string Mode { get; private init; } = "";

    /// <summary>The entries, from the root.</summary>
    internal IReadOnlyList<PageStep> Steps => _steps;

    /// <summary>Where it leads, or null.</summary>
    internal ulong? Physical { get; private set; }

    /// <summary>Bytes of the page, 0 without one.</summary>
    internal ulong PageSize { get; private set; }

    /// <summary>Why it leads nowhere.</summary>
    internal string? Failure { get; private set; }

    /// <summary>Follows an address.</summary>
    /// <param name="memory">Where the tables are.</param>
    /// <param name="cpu">Control registers.</param>
    /// <param name="address">Linear address.</param>
    internal static PageTables Walk(GuestMemory memory, in KvmAbi.SystemRegisters cpu, ulong address)
    {
        if ((cpu.Cr0 & (ulong)Cr0.Paging) == 0) return new PageTables { Mode = "paging is off", Physical = address };
        if ((cpu.Efer & (ulong)Efer.LongModeActive) == 0) return new PageTables { Mode = "32-bit paging", Failure = "only the tables of 64-bit mode are walked here" };
        int levels = (cpu.Cr4 & (ulong)Cr4.FiveLevels) != 0 ? 5 : 4;
        PageTables walk = new() { Mode = $"{levels} levels" };
        int bits = PageBits + levels * IndexBits;
        if ((ulong)((long)address << (64 - bits) >> (64 - bits)) != address) walk.Failure = $"not canonical: bits {bits} to 63 are not all like bit {bits - 1}";
        else walk.Follow(memory, cpu.Cr3 & X86Const.PageAddressMask, address, levels);
        return walk;
    }

    /// <summary>Bits of an entry by name; the one at bit 7 means a page only above the last level.</summary>
    internal static string Flags(PageStep step) => step.Entry is not { } entry ? "" :
        $"{(PageEntry)(entry & ~X86Const.PageAddressMask & (ulong)Known(step.Level))}";

    private static PageEntry Known(int level)
    {
        PageEntry all = PageEntry.Present | PageEntry.Writable | PageEntry.User | PageEntry.WriteThrough | PageEntry.CacheDisable | PageEntry.Accessed | PageEntry.Dirty | PageEntry.Global | PageEntry.NoExecute;
        return level is 2 or 3 ? all | PageEntry.Large : all;
    }

    private void Follow(GuestMemory memory, ulong table, ulong address, int levels)
    {
        for (int level = levels; level > 0; level--)
        {
            int shift = PageBits + (level - 1) * IndexBits;
            int index = (int)(address >> shift & (X86Const.PageTableEntries - 1));
            if (!memory.TryRead(table + (ulong)index * sizeof(ulong), out ulong entry))
            {
                _steps.Add(new PageStep(level, table, index, null));
                Failure = $"the table at {Section.Hex(table)} is not in RAM";
                return;
            }
            _steps.Add(new PageStep(level, table, index, entry));
            if ((entry & (ulong)PageEntry.Present) == 0)
            {
                Failure = "not present";
                return;
            }
            ulong inside = (1UL << shift) - 1;
            bool large = (entry & (ulong)PageEntry.Large) != 0;
            if (large && level > 3)
            {
                Failure = "an entry of this level cannot map a page";
                return;
            }
            table = entry & X86Const.PageAddressMask;
            if (level > 1 && !large) continue;
            PageSize = inside + 1;
            Physical = (table & ~inside) | (address & inside);
            return;
        }
    }
}
