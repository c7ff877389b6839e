using MicroVm.Bus;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>Pending bits: asked of the events when they are read. The guest cannot write them.</summary>
public sealed partial class MsixPba
{
    private readonly MsixTable _table;

    internal MsixPba(MsixTable table)
    {
        _table = table;
        Initialize();
    }

    private partial IoStatus ReadPending(uint offset, int width, out ulong value)
    {
        value = 0;
        if (width is not (4 or 8) || offset % (uint)width != 0) return IoStatus.BadWidth;
        int first = (int)offset * 8;
        for (int bit = 0; bit < width * 8 && first + bit < _table.Count; bit++)
        {
            if (_table.IsPending(first + bit)) value |= 1UL << bit;
        }
        return IoStatus.Ok;
    }

    private partial IoStatus WritePending(uint offset, int width, ulong value) => IoStatus.ReadOnly;
}
