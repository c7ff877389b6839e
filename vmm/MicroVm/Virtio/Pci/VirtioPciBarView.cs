using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Snapshot;

namespace MicroVm.Virtio.Pci;

/// <summary>The virtio structures of BAR 0 as one block, for <see cref="VirtioPciWindowCap"/>. Reading the interrupt status through it takes nothing: the window is filled before the guest looks.</summary>
internal sealed class VirtioPciBarView(VirtioPciCommon common, VirtioPciNotify notify, VirtioPciIsr isr) : IRegisterBlock
{
    public Lock Gate => common.Gate;

    public BlockInfo Info => VirtioPciCommon.Catalog;

    public IoStatus Read(uint offset, int width, out ulong value)
    {
        if (offset < VirtioPciCommon.Size) return common.Read(offset, width, out value);
        value = isr.Peek;
        return offset == VirtioPciConst.IsrOffset ? IoStatus.Ok : IoStatus.NoRegister;
    }

    public IoStatus Write(uint offset, int width, ulong value)
    {
        if (offset < VirtioPciCommon.Size)
        {
            lock (common.Gate) return common.Write(offset, width, value);
        }
        uint doorbell = offset - VirtioPciConst.NotifyOffset;
        return doorbell < VirtioPciNotify.Size ? notify.Write(doorbell, width, value) : IoStatus.NoRegister;
    }

    public void Save(ref SnapshotWriter writer) { }

    public void Load(ref SnapshotReader reader) { }
}
