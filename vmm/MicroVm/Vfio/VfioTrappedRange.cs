using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Pci;
using MicroVm.Snapshot;

namespace MicroVm.Vfio;

/// <summary>A part of a BAR that the guest does not reach directly: the MSI-X table and pending bits, which are emulated, what stands in the same pages, and what VFIO does not let be mapped.</summary>
/// <param name="device">The hardware.</param>
/// <param name="region">The BAR.</param>
/// <param name="start">First byte of the range in the BAR.</param>
/// <param name="length">Bytes.</param>
/// <param name="table">MSI-X table, or null; with its offset in the BAR, behind it if it is not in this one.</param>
/// <param name="tableAt">Where the table is.</param>
/// <param name="pba">The pending bits, or null.</param>
/// <param name="pbaAt">Where they are.</param>
internal sealed class VfioTrappedRange(IVfioDevice device, VfioRegion region, ulong start, ulong length, MsixTable? table, ulong tableAt, MsixPba? pba, ulong pbaAt) : IRegisterBlock
{
    private readonly ulong _pbaLength = table is null ? 0 : ((ulong)table.Count + 63) / 64 * 8;

    /// <inheritdoc/>
    public Lock Gate { get; } = new();

    /// <inheritdoc/>
    public BlockInfo Info { get; } = new("VfioBar", "devices.def/msix.def", (uint)Math.Min(length, uint.MaxValue), AccessRule.Any, 0, uint.MaxValue, false, null, 0, []);

    /// <inheritdoc/>
    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        ulong at = start + offset;
        if (table is not null && Touches(at, width, tableAt, table.Info.Size))
        {
            if (at < tableAt) return IoStatus.BadWidth;
            lock (table.Gate) return table.Read((uint)(at - tableAt), width, out value);
        }
        if (pba is not null && Touches(at, width, pbaAt, _pbaLength)) return at < pbaAt ? IoStatus.BadWidth : pba.Read((uint)(at - pbaAt), width, out value);
        return device.TryRead(region, at, width, out value) ? IoStatus.Ok : IoStatus.NoRegister;
    }

    /// <inheritdoc/>
    public IoStatus Write(uint offset, int width, ulong value)
    {
        ulong at = start + offset;
        if (table is not null && Touches(at, width, tableAt, table.Info.Size))
        {
            if (at < tableAt) return IoStatus.BadWidth;
            lock (table.Gate) return table.Write((uint)(at - tableAt), width, value);
        }
        if (pba is not null && Touches(at, width, pbaAt, _pbaLength)) return IoStatus.ReadOnly;
        return device.TryWrite(region, at, width, value) ? IoStatus.Ok : IoStatus.NoRegister;
    }

    public void Save(ref SnapshotWriter writer) { }

    public void Load(ref SnapshotReader reader) { }

    private static bool Touches(ulong at, int width, ulong from, ulong size) => at < from + size && at + (ulong)width > from;
}
