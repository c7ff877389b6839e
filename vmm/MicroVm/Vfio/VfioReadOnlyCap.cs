using MicroVm.Bus;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Snapshot;

namespace MicroVm.Vfio;

/// <summary>A capability that the guest may look at.</summary>
internal sealed class VfioReadOnlyCap(string name, uint size, ResidentPage page) : IPciCapability
{
    private const uint NextOffset = 1;

    byte IPciCapability.NextPointer { set => page.Store(NextOffset, value); }

    /// <inheritdoc/>
    public Lock Gate { get; } = new();

    /// <inheritdoc/>
    public BlockInfo Info { get; } = new(name, "devices.def/vfio_config.def", size, AccessRule.Any, 0, size, false, null, 0, []);

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
