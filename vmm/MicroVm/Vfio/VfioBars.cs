using System.Numerics;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Vfio;

/// <summary>Where an assigned function's MSI-X structures are.</summary>
/// <param name="Table">The emulated table.</param>
/// <param name="TableAt">Register of the capability: BAR in bits 0-2, offset in the rest.</param>
/// <param name="PbaAt">The same of the pending bits.</param>
internal sealed record VfioMsix(MsixTable Table, uint TableAt, uint PbaAt)
{
    private const uint BarMask = PciCapabilityConst.MsixBarMask;

    private readonly MsixPba _pba = new(Table);

    /// <summary>The pending bits.</summary>
    internal MsixPba Pba => _pba;

    /// <summary>The ranges of a BAR that hold one of them.</summary>
    internal IEnumerable<(ulong Start, ulong Length)> RangesIn(int bar)
    {
        if ((TableAt & BarMask) == bar) yield return (TableAt & ~BarMask, Table.Info.Size);
        if ((PbaAt & BarMask) == bar) yield return (PbaAt & ~BarMask, ((ulong)Table.Count + 63) / 64 * 8);
    }
}

/// <summary>An assigned function's memory BARs: mapped pages, which the guest reaches without an exit, and trapped ranges between them. BARs of ports are left out.</summary>
internal static class VfioBars
{
    private const ulong Page = GuestMemory.PageSize;

    internal static IEnumerable<PciBar> List(IVfioDevice device, VfioConfigSpace config, VfioMsix? msix)
    {
        for (int i = 0; i < PciConst.Bars; i++)
        {
            uint register = config.Bar(i);
            VfioRegion region = device.Region((uint)i);
            if ((register & (uint)PciBarBits.Io) != 0 || region.Length == 0) continue;
            bool is64 = (register & (uint)PciBarBits.Is64) != 0;
            // Hardware that says so of its last register has no upper half there.
            if (is64 && i + 1 == PciConst.Bars) continue;
            ulong size = BitOperations.RoundUpToPowerOf2(Math.Max(region.Length, Page));
            yield return new PciBar(i, size, is64, (register & (uint)PciBarBits.Prefetchable) != 0, [.. Regions(device, region, i, size, msix)]);
            if (is64) i++;
        }
    }

    private static IEnumerable<BarRegion> Regions(IVfioDevice device, VfioRegion region, int bar, ulong size, VfioMsix? msix)
    {
        (ulong Start, ulong Length)[] special = [.. msix?.RangesIn(bar) ?? []];
        ulong trapped = 0;
        foreach ((ulong start, ulong length) in Mappable(region, special))
        {
            nint host = device.Map(region, start, length);
            // What cannot be mapped is part of the next trapped range.
            if (host == 0) continue;
            if (start > trapped) yield return Trap(device, region, bar, trapped, start - trapped, msix);
            yield return new BarRegion.Memory(start, length, host, ReadOnly: false);
            trapped = start + length;
        }
        if (trapped < size) yield return Trap(device, region, bar, trapped, size - trapped, msix);
    }

    /// <summary>The pages of a region that can be mapped and hold none of the special ranges, in order.</summary>
    internal static List<(ulong Start, ulong Length)> Mappable(VfioRegion region, ReadOnlySpan<(ulong Start, ulong Length)> special)
    {
        List<(ulong Start, ulong Length)> free = [];
        foreach ((ulong offset, ulong length) in region.Areas)
        {
            ulong end = Math.Min(offset + length, region.Length) & ~(Page - 1);
            for (ulong at = (offset + Page - 1) & ~(Page - 1); at < end;)
            {
                ulong stop = end, next = end;
                foreach ((ulong from, ulong bytes) in special)
                {
                    ulong first = from & ~(Page - 1), last = (from + bytes + Page - 1) & ~(Page - 1);
                    if (last <= at || first >= stop) continue;
                    (stop, next) = (Math.Max(first, at), last);
                }
                if (stop > at) free.Add((at, stop - at));
                at = next;
            }
        }
        return free;
    }

    private static BarRegion.Registers Trap(IVfioDevice device, VfioRegion region, int bar, ulong start, ulong length, VfioMsix? msix)
    {
        const uint barMask = PciCapabilityConst.MsixBarMask;
        bool table = msix is not null && (msix.TableAt & barMask) == bar, pba = msix is not null && (msix.PbaAt & barMask) == bar;
        VfioTrappedRange range = new(device, region, start, length, table ? msix!.Table : null, (msix?.TableAt ?? 0) & ~barMask,
            pba ? msix!.Pba : null, (msix?.PbaAt ?? 0) & ~barMask);
        return new BarRegion.Registers(start, range);
    }
}
