using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>A range of guest physical addresses and what it is.</summary>
/// <param name="Start">First address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Type">What it is.</param>
internal readonly record struct MemoryMapEntry(ulong Start, ulong Length, MemoryType Type);

/// <summary>The map of guest memory, as e820 would tell it: RAM less what is reserved, then what is reserved outside of RAM, in the order of their addresses.</summary>
internal static class MemoryMap
{
    /// <summary>Builds the map.</summary>
    /// <param name="regions">RAM, ascending.</param>
    /// <param name="reserved">Reserved ranges, ascending and apart, inside RAM or outside; the legacy area is added.</param>
    /// <param name="map">Where to.</param>
    /// <returns>Entries written.</returns>
    /// <exception cref="ArgumentException">The ranges are not in order, or are too many.</exception>
    internal static int Build(ReadOnlySpan<MemoryRegion> regions, ReadOnlySpan<MemoryMapEntry> reserved, Span<MemoryMapEntry> map)
    {
        int count = 0;
        MemoryMapEntry legacy = new(BootLayout.LegacyStart, BootLayout.LegacyEnd - BootLayout.LegacyStart, MemoryType.Reserved);
        int next = -1;
        ulong at = 0;
        foreach (ref readonly MemoryRegion region in regions)
        {
            ulong start = Math.Max(at, region.GuestAddress), end = region.GuestAddress + region.Length;
            for (; next < reserved.Length && Reserved(reserved, legacy, next).Start < end; next++)
            {
                MemoryMapEntry r = Reserved(reserved, legacy, next);
                if (r.Start > start) map[count++] = new MemoryMapEntry(start, r.Start - start, MemoryType.Ram);
                map[count++] = Ordered(r, at);
                start = at = Math.Max(start, r.Start + r.Length);
            }
            if (start < end) map[count++] = new MemoryMapEntry(start, end - start, MemoryType.Ram);
            at = Math.Max(at, end);
        }
        for (; next < reserved.Length; next++) map[count++] = Reserved(reserved, legacy, next);
        return count;
    }

    /// <summary>The guest has less memory than the loader itself needs.</summary>
    internal static MicroVmException TooSmall(GuestMemory memory) =>
        MicroVmException.Usage("the guest has too little memory", $"{memory.Size} bytes of at least {BootLayout.MinMemory}", "Give at least --memory 1M");

    private static MemoryMapEntry Reserved(ReadOnlySpan<MemoryMapEntry> reserved, in MemoryMapEntry legacy, int index) => index < 0 ? legacy : reserved[index];

    private static MemoryMapEntry Ordered(in MemoryMapEntry entry, ulong at) =>
        entry.Start >= at || entry.Length == 0 ? entry : throw new ArgumentException($"the reserved range at 0x{entry.Start:x} begins before 0x{at:x}");
}
