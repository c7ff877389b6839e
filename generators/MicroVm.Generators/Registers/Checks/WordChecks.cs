using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG012, 016, 019 and 022: words of one line that contradict each other, or the block.</summary>
internal static class WordChecks
{
    public static void Run(BlockModel block, RegisterModel r, DiagnosticBag diagnostics)
    {
        bool row = !block.Registers.Any(x => ReferenceEquals(x, r));
        foreach ((bool wrong, string words, string reason) in Contradictions(block, r, row))
        {
            if (!wrong) continue;
            // One is enough: the others often follow from it.
            diagnostics.Add("MVG016", r.Name.Pos, words, r.Name.Text, reason);
            break;
        }
        if (r.Doorbell && NoDoorbell(block, r, row) is { } why) diagnostics.Add("MVG012", r.DoorbellPos, r.Name.Text, why);
        if (r.Resident) Resident(block, r, row, diagnostics);
        if (block.Snapshot is null && r.IsStored()) diagnostics.Add("MVG019", r.Name.Pos, r.Name.Text, block.Name.Text);
    }

    private static IEnumerable<(bool Wrong, string Words, string Reason)> Contradictions(BlockModel block, RegisterModel r, bool row)
    {
        string access = Emit.BlockEmitter.Word(r.Access);
        bool hooked = r.Then is not null || r.Via is not null;
        bool computed = r.From is not null || r.Take is not null;
        bool writesOnly = r.Access is Access.WriteOnly or Access.WriteOneToClear;
        bool readsOnly = r.Access is Access.ReadOnly or Access.ReadToClear;
        if (r.IsWindow)
        {
            bool other = hooked || computed || r.Into is not null || r.Mask is not null || r.Atomic || r.Halves || r.ResetPos.Length > 0 || r.IsArray || r.Fields.Count > 0;
            yield return (other, "window", "a raw range takes 'resident', 'secret' and 'when' only; remove the rest");
            yield break;
        }
        yield return (r.IsPair && r.IsArray, "indexed by", "a data register is one register; remove the brackets");
        yield return (r.IsPair && block.Access.Rule == WidthRule.Any, "access any", "an index/data pair needs whole accesses; use 'access natural' or a width");
        yield return (r.From is not null && r.Take is not null, "from and take", "a read has one source; keep one of the two");
        yield return ((r.Take is not null || r.FromBank()) && r.Into is not null, "into", "it also says where reads come from; keep one of the two");
        yield return (r.Then is not null && r.Via is not null, "then and via", "'via' already sees the value; keep one of the two");
        yield return (readsOnly && hooked, access, "the guest cannot write it, so a write hook never runs; remove the hook or use 'rw'");
        yield return (readsOnly && r.Mask is not null, access, "the guest cannot write it; remove 'mask'");
        yield return (readsOnly && r.Into is not null, access, "the guest cannot write it; say 'from " + r.Into?.Text + "'");
        yield return (writesOnly && computed, access, "the guest cannot read it so; remove 'from' or 'take'");
        yield return (r.Access == Access.ReadToClear && computed, access, "reading clears the stored value; use 'ro take' for a hook");
        yield return (r.Access == Access.WriteOneToClear && (r.Via is not null || r.Into is not null), access, "it clears bits and stores nothing; use 'then', or 'rw via'");
        yield return (r.Access == Access.WriteOneToClear && r.Target is null && !r.Atomic && r.Reset != 0, access, "only an 'atomic' register has bits to clear; add 'atomic'");
        yield return (r.FromBank() && r.Access == Access.ReadWrite, "from " + r.From?.Text, "a write would have no place; say 'into " + r.From?.Text + "'");
        yield return (r.Atomic && r.Access is Access.ReadWrite or Access.WriteOnly, "atomic", "a guest's write would lose bits raised meanwhile; use 'ro', 'rc' or 'w1c'");
        yield return (r.Atomic && (computed || r.Target is not null), "atomic", "it has no value of its own to raise; remove 'atomic'");
        yield return (r.Atomic && r.Width < 4, "atomic", "atomic bits need 32 or 64 bits; widen it");
        yield return (r.Atomic && (r.IsArray || row), "atomic", "only a plain register can be raised; remove 'atomic'");
        yield return (r.IsArray && (r.Halves || r.Into is not null || r.FromBank() || r.Target is not null), "[" + r.Count + " stride " + r.Stride + "]",
            "an array has elements of its own; remove 'halves', the bank or the w1c target");
        yield return (row && (r.Halves || r.Into is not null || r.FromBank()), "indexed by", "an indexed register has one place; remove 'halves' or the bank");
        yield return (r.Halves && (r.ReadHasEffect() || (r.Then is not null && r.StorageOf() == Storage.None)), "halves",
            "half an access would have the whole effect; store it with 'via', or remove 'halves'");
        yield return (block.Snapshot is not null && r.IsStored() && r.Offset > 0xffff, "snapshot", "tags hold offsets up to 0xffff; move it, or split the block");
    }

    private static string? NoDoorbell(BlockModel block, RegisterModel r, bool row)
    {
        if (r.IsWindow) return "a window takes any width";
        if (r.IsPair || row) return "its address means several registers";
        if (r.Halves) return "it is written in two accesses";
        if (!r.IsWritable()) return "the guest cannot write it";
        return block.Access.Rule == WidthRule.Any ? "'access any' lets the guest write a part of it" : null;
    }

    private static void Resident(BlockModel block, RegisterModel r, bool row, DiagnosticBag diagnostics)
    {
        bool shared = block.Registers.Any(o => !ReferenceEquals(o, r) && new SlotGroup(o).Takes(r) && !o.IsWindow);
        (string Reason, string Fix)? wrong =
            row || r.IsPair ? ("what its address means depends on the selector", "remove 'resident'")
            : r.IsWindow ? null
            : r.ReadHasEffect() ? ("reading it has an effect, and the device does not see a read from the page", "remove 'resident' or the effect")
            : !r.IsReadable() ? ("the guest cannot read it", "remove 'resident'")
            : shared ? ("another register shares its offset, and the page holds one value", "remove 'resident'")
            : r.Atomic && r.Width != 4 ? ("atomic bits in the page are 32 bits wide", "make it u32 or remove 'resident'")
            : null;
        if (wrong is { } w) diagnostics.Add("MVG022", r.ResidentPos, r.Name.Text, w.Reason, w.Fix);
    }
}
