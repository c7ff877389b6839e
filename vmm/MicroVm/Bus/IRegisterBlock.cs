using MicroVm.Snapshot;

namespace MicroVm.Bus;

/// <summary>A block of registers as the bus sees it; implemented by the generated half of each class declared in <c>devices.def</c>.</summary>
/// <remarks>A device sees offset, width and value, never a guest address. Calls come from any vCPU thread, one at a time per block:
/// the bus holds <see cref="Gate"/> around each.</remarks>
public interface IRegisterBlock
{
    /// <summary>Reads <paramref name="width"/> bytes (1, 2, 4 or 8) at <paramref name="offset"/> from the block's base.</summary>
    /// <returns><see cref="IoStatus.Ok"/> and the value, or why there is none; <paramref name="value"/> is then 0 and the bus decides what the guest reads.</returns>
    IoStatus Read(uint offset, int width, out ulong value);

    /// <summary>Writes the low <paramref name="width"/> bytes of <paramref name="value"/>.</summary>
    IoStatus Write(uint offset, int width, ulong value);

    /// <summary>Saves the registers as (tag, bytes) pairs.</summary>
    void Save(ref SnapshotWriter writer);

    /// <summary>Loads what <see cref="Save"/> wrote; unknown tags are skipped, missing ones keep their reset value.</summary>
    /// <exception cref="SnapshotException">A known tag has the wrong length.</exception>
    void Load(ref SnapshotReader reader);

    /// <summary>The declaration that this block came from.</summary>
    BlockInfo Info { get; }

    /// <summary>Held by the bus during an access. Lock order: a device's own locks come after it.</summary>
    Lock Gate { get; }
}
