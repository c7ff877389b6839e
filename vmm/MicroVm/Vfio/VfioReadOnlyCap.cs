using MicroVm.Bus;
using MicroVm.Pci;
using MicroVm.Snapshot;

namespace MicroVm.Vfio;

/// <summary>A capability that the guest may look at.</summary>
internal sealed class VfioReadOnlyCap : IPciCapability
{
    private const uint NextOffset = 1;

    internal VfioReadOnlyCap(string name, uint size, in CapabilityPlace place)
    {
        Info = new(name, "devices.def/vfio_config.def", size, AccessRule.Any, 0, size, false, null, 0, []);
        place.Page.Store(NextOffset, place.Next);
    }

    /// <inheritdoc/>
    public Lock Gate { get; } = new();

    /// <inheritdoc/>
    public BlockInfo Info { get; }

    /// <inheritdoc/>
    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        return IoStatus.NoRegister;
    }

    /// <inheritdoc/>
    public IoStatus Write(uint offset, int width, ulong value) => IoStatus.ReadOnly;

    void IPciCapability.Reset() { }

    public void Save(ref SnapshotWriter writer) { }

    public void Load(ref SnapshotReader reader) { }
}
