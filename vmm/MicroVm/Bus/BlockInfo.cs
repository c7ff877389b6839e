namespace MicroVm.Bus;

/// <summary>How the guest may access a register.</summary>
public enum RegisterAccess : byte { ReadOnly, ReadWrite, WriteOnly, WriteOneToClear, ReadToClear }

/// <summary>Words of a register's declaration that tests, traces and <c>explain</c> ask about.</summary>
[Flags]
public enum RegisterTraits : ushort
{
    None = 0, Resident = 1, Atomic = 2, Doorbell = 4, Guarded = 8, HasHook = 16, Secret = 32, Constant = 64, Window = 128, Indexed = 256, Banked = 512,
    /// <summary>Reading calls the device (<c>from</c> or <c>take</c>).</summary>
    Computed = 1024,
    /// <summary>Reading has an effect (<c>take</c> or <c>rc</c>).</summary>
    ReadEffect = 2048,
}

/// <summary>Which widths a block takes.</summary>
public enum AccessRule : byte { Exact, Natural, Any }

/// <summary>One bit field: bits <paramref name="Low"/> to <paramref name="High"/>, both included.</summary>
public sealed record FieldInfo(string Name, byte Low, byte High, bool ReadOnly);

/// <summary>One declared register. <paramref name="Offset"/> is in bytes from the block's base, or an index below an indexed register.</summary>
/// <param name="Name">Name in the definition.</param>
/// <param name="Offset">First byte; the low half's where the register is in halves.</param>
/// <param name="Width">Bytes: 1, 2, 4 or 8; a window's length.</param>
/// <param name="Access">Guest access.</param>
/// <param name="Traits">Words of the declaration.</param>
/// <param name="Reset">Value after reset.</param>
/// <param name="WriteMask">Bits that a write can change.</param>
/// <param name="HighHalf">Offset of the high half, or -1.</param>
/// <param name="Count">Elements of an array, 1 for a plain register.</param>
/// <param name="Stride">Distance of two elements.</param>
/// <param name="IndexedBy">Name of the data register through which this one is reached, or null.</param>
/// <param name="Guard">Text of the guard, or null.</param>
/// <param name="Doorbell">Value that the doorbell matches, or null for any.</param>
/// <param name="Line">Line in the definition file.</param>
/// <param name="Doc">Documentation.</param>
/// <param name="Fields">Bit fields.</param>
public sealed record RegisterInfo(
    string Name, uint Offset, uint Width, RegisterAccess Access, RegisterTraits Traits, ulong Reset, ulong WriteMask,
    int HighHalf, uint Count, uint Stride, string? IndexedBy, string? Guard, ulong? Doorbell, int Line, string Doc, FieldInfo[] Fields);

/// <summary>One declared block.</summary>
/// <param name="Name">Name in the definition and of the class.</param>
/// <param name="File">Definition file, relative to the repository.</param>
/// <param name="Size">Bytes of address space.</param>
/// <param name="Rule">Legal widths.</param>
/// <param name="ExactWidth">Width with <see cref="AccessRule.Exact"/>.</param>
/// <param name="ExactBelow">First offset to which <paramref name="Rule"/> no longer applies.</param>
/// <param name="ZeroOnBadWidth">The guest reads 0, not ones, for <see cref="IoStatus.BadWidth"/> and <see cref="IoStatus.NoRegister"/>.</param>
/// <param name="SnapshotTag">Name of the block's state in a snapshot, or null.</param>
/// <param name="SnapshotVersion">Version of that state.</param>
/// <param name="Registers">Registers in the order of the file.</param>
public sealed record BlockInfo(
    string Name, string File, uint Size, AccessRule Rule, int ExactWidth, uint ExactBelow, bool ZeroOnBadWidth,
    string? SnapshotTag, int SnapshotVersion, RegisterInfo[] Registers)
{
    /// <summary>The register at <paramref name="offset"/> that a trace should name, or null. Allocates nothing.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <param name="write">Which way the access went.</param>
    /// <param name="possible">Where registers share an offset: leaves out the ones whose guard does not hold; null if nothing is known.</param>
    public RegisterInfo? Find(uint offset, bool write, Predicate<RegisterInfo>? possible = null)
    {
        RegisterInfo? other = null;
        foreach (RegisterInfo r in Registers)
        {
            if (r.IndexedBy is not null || !Covers(r, offset) || possible?.Invoke(r) == false) continue;
            bool wanted = write ? r.Access != RegisterAccess.ReadOnly : r.Access != RegisterAccess.WriteOnly;
            if (wanted) return r;
            other ??= r;
        }
        return other;
    }

    private static bool Covers(RegisterInfo r, uint offset)
    {
        uint width = r.HighHalf >= 0 ? 4 : r.Width;
        for (uint i = 0; i < r.Count; i++)
        {
            if (offset - (r.Offset + i * r.Stride) < width) return true;
        }
        return r.HighHalf >= 0 && offset - (uint)r.HighHalf < 4;
    }
}
