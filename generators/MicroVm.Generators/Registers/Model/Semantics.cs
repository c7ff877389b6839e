namespace MicroVm.Generators.Registers.Model;

/// <summary>Where a register's value lives.</summary>
internal enum Storage : byte
{
    /// <summary>Nowhere: hooks make or take it.</summary>
    None,
    /// <summary>In the definition: it never changes.</summary>
    Constant,
    /// <summary>In the register struct.</summary>
    Field,
    /// <summary>In the resident page itself, because other threads raise bits that the guest must see at once.</summary>
    Page,
    /// <summary>In the selected element of a bank.</summary>
    Bank,
}

/// <summary>What the words of a register's line mean together.</summary>
internal static class Semantics
{
    public static ulong All(int width) => width >= 8 ? ulong.MaxValue : (1ul << (8 * width)) - 1;

    public static string TypeName(int width) => width switch { 1 => "byte", 2 => "ushort", 4 => "uint", _ => "ulong" };

    public static bool IsReadable(this RegisterModel r) => r.Access is not (Access.WriteOnly or Access.WriteOneToClear) || r is { Access: Access.WriteOneToClear, Target: null };

    public static bool IsWritable(this RegisterModel r) => r.Access is Access.ReadWrite or Access.WriteOnly or Access.WriteOneToClear;

    public static bool FromBank(this RegisterModel r) => r.From?.Owner is not null;

    /// <summary>Reading calls the device.</summary>
    public static bool IsComputed(this RegisterModel r) => r.Take is not null || r.From is { Owner: null };

    public static bool ReadHasEffect(this RegisterModel r) => r.Take is not null || r.Access == Access.ReadToClear;

    public static Storage StorageOf(this RegisterModel r)
    {
        if (r.IsWindow || r.IsPair || r.Target is not null) return Storage.None;
        if (r.Into is not null || r.FromBank()) return Storage.Bank;
        switch (r.Access)
        {
            case Access.ReadToClear:
            case Access.ReadOnly when r.Atomic:
            case Access.WriteOneToClear when r.Atomic:
                return r is { Atomic: true, Resident: true } ? Storage.Page : Storage.Field;
            case Access.ReadOnly: return r.IsComputed() ? Storage.None : Storage.Constant;
            case Access.WriteOneToClear: return Storage.Constant;
            case Access.WriteOnly: return r.Then is not null && r.Via is null ? Storage.None : Storage.Field;
            default: return r.IsComputed() && r.Then is not null && r.Via is null ? Storage.None : Storage.Field;
        }
    }

    /// <summary>A value of its own that a snapshot must hold; what only <c>from Bank.F</c> reads belongs to the device's construction.</summary>
    public static bool IsStored(this RegisterModel r) => r.StorageOf() is Storage.Field or Storage.Page || r.Into is not null;

    /// <summary>All bits that have a name; 0 where none has.</summary>
    public static ulong FieldBits(this RegisterModel r) => Union(r, static _ => true);

    /// <summary>Bits that a guest's write can change.</summary>
    public static ulong WriteMask(this RegisterModel r)
    {
        if (r.IsWindow || r.IsPair) return ulong.MaxValue;
        if (!r.IsWritable()) return 0;
        if (r.Mask is { } mask) return mask & All(r.Width);
        return r.Fields.Count == 0 ? All(r.Width) : Union(r, static f => !f.ReadOnly) & All(r.Width);
    }

    /// <summary>Bits that may be set at all, whoever sets them.</summary>
    public static ulong LegalBits(this RegisterModel r)
    {
        ulong bits = r.FieldBits() | r.Reset | (r.Mask ?? 0);
        bool any = r.Fields.Count == 0 && r.Mask is null;
        return any ? All(r.Width) : bits & All(r.Width);
    }

    /// <summary>The registers of a block and the rows of its index/data pairs, in the order of the file.</summary>
    public static IEnumerable<RegisterModel> Flatten(this BlockModel block)
    {
        foreach (RegisterModel register in block.Registers)
        {
            yield return register;
            foreach (RegisterModel row in register.Rows) yield return row;
        }
    }

    private static ulong Union(RegisterModel r, Func<FieldModel, bool> wanted)
    {
        ulong bits = 0;
        foreach (FieldModel field in r.Fields)
        {
            if (wanted(field)) bits |= field.Mask;
        }
        return bits;
    }
}
