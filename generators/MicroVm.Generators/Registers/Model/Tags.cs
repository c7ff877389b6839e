using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

/// <summary>Tags of a block's snapshot. Bits 0-15 are the offset, or the index below an index/data pair; bits 24-27 tell apart stored
/// registers at one offset; bit 28 marks an indexed one. The index of an array or a bank stands in bits 32 and up.
/// 0x1_0000 to 0xff_ffff belong to hidden state.</summary>
internal static class Tags
{
    private const uint Alternative = 1u << 24;
    private const uint Indexed = 1u << 28;

    /// <summary>Every stored register with its tag. A bank's field that several registers reach is saved once.</summary>
    public static List<(uint Tag, RegisterModel Register)> Of(BlockModel block)
    {
        var result = new List<(uint Tag, RegisterModel Register)>();
        var used = new HashSet<uint>();
        var fields = new HashSet<string>(StringComparer.Ordinal);
        foreach (RegisterModel register in block.Registers)
        {
            Add(register, 0);
            foreach (RegisterModel row in register.Rows) Add(row, Indexed);
        }
        return result;

        void Add(RegisterModel register, uint kind)
        {
            if (!register.IsStored() || (register.Into is { } field && !fields.Add(field.Text))) return;
            uint tag = kind | (ushort)register.Offset;
            while (!used.Add(tag)) tag += Alternative;
            result.Add((tag, register));
        }
    }

    public static SnapshotSummary? Summary(BlockModel block)
    {
        if (block.Snapshot is not { } clause) return null;
        IEnumerable<TagSummary> tags = Of(block).Select(static t => new TagSummary(
            t.Tag, t.Register.Name.Text, t.Register.Width, t.Register.Into is not null ? 0 : Math.Max(t.Register.Count, 1), t.Register.Name.Pos));
        return new SnapshotSummary(block.Name.Text, clause.Tag, clause.Version, clause.Pos, new([.. tags]));
    }
}
