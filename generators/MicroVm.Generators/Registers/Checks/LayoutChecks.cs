using System.Globalization;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Registers.Checks.FileChecks;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG001, 002, 003, 010, 011, 021: where registers lie.</summary>
internal static class LayoutChecks
{
    public static void Run(BlockModel block, DiagnosticBag diagnostics, CancellationToken cancel)
    {
        foreach (RegisterModel r in block.Registers)
        {
            Halves(r, diagnostics);
            Outside(block, r, diagnostics);
            if (r.IsWindow || r.Broken) continue;
            Aligned(r, diagnostics);
            Reached(block, r, diagnostics);
        }
        Overlaps([.. block.Registers], unit: null, diagnostics, cancel);
        foreach (RegisterModel pair in block.Registers.Where(static r => r.IsPair)) Overlaps([.. pair.Rows], unit: 1, diagnostics, cancel);
    }

    private static void Halves(RegisterModel r, DiagnosticBag diagnostics)
    {
        if (!r.Halves) return;
        if (r.Width != 8) diagnostics.Add("MVG010", r.HalvesPos, r.Name.Text, "need a u64, it is " + r.Width + " bytes; make it u64 or remove 'halves'");
        else if (r.HighOffset != r.Offset + 4L)
        {
            string at = "at " + Hex((ulong)r.Offset) + " and " + Hex((ulong)r.HighOffset) + " are not adjacent; ";
            diagnostics.Add("MVG010", r.HalvesPos, r.Name.Text, at + "the high half belongs at " + Hex((ulong)r.Offset + 4));
        }
    }

    private static void Outside(BlockModel block, RegisterModel r, DiagnosticBag diagnostics)
    {
        ulong end = Shape.Of(r, null).End;
        if (end > (ulong)block.Size) diagnostics.Add("MVG002", r.OffsetPos, r.Name.Text, Hex(end), block.Name.Text, Number(block.Size));
    }

    private static void Aligned(RegisterModel r, DiagnosticBag diagnostics)
    {
        int align = r.Halves ? 4 : Math.Max(r.Width, 1);
        int off = r.Offset % align != 0 ? r.Offset % align : 0;
        if (off != 0) diagnostics.Add("MVG003", r.OffsetPos, r.Name.Text, Hex((ulong)r.Offset), Number(align), Hex((ulong)(r.Offset - off)));
        else if (r.IsArray && r.Stride % align != 0)
        {
            ulong second = (ulong)r.Offset + (ulong)r.Stride;
            diagnostics.Add("MVG003", r.OffsetPos, r.Name.Text + "[1]", Hex(second), Number(align), Hex(second + (ulong)(align - r.Stride % align)));
        }
    }

    private static void Reached(BlockModel block, RegisterModel r, DiagnosticBag diagnostics)
    {
        AccessLine rule = block.Access;
        if (rule.Rule != WidthRule.Exact || r.Width == 0 || r.Offset >= rule.Below) return;
        int width = r.Halves ? 4 : r.Width;
        if (width == rule.Width) return;
        string fix = r.Width == 8 && rule.Width == 4
            ? "add 'halves " + Hex((ulong)r.Offset) + " " + Hex((ulong)r.Offset + 4) + "', or use 'access natural'"
            : "make it u" + Number(8 * rule.Width) + ", or use 'access natural'";
        diagnostics.Add("MVG021", r.OffsetPos, r.Name.Text, Number(r.Width), block.Name.Text, Number(rule.Width), fix);
    }

    private static void Overlaps(RegisterModel[] registers, int? unit, DiagnosticBag diagnostics, CancellationToken cancel)
    {
        for (int i = 1; i < registers.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            for (int k = 0; k < i; k++)
            {
                (RegisterModel a, RegisterModel b) = (registers[k], registers[i]);
                if (Shape.Of(a, unit).Meet(Shape.Of(b, unit)) is not { } at) continue;
                if (a.IsWindow != b.IsWindow)
                {
                    (RegisterModel window, RegisterModel hidden) = a.IsWindow ? (a, b) : (b, a);
                    diagnostics.Add("MVG011", b.OffsetPos, window.Name.Text, hidden.Name.Text, Hex(at));
                }
                else if (!MayShare(a, b)) diagnostics.Add("MVG001", b.OffsetPos, b.Name.Text, a.Name.Text, Hex(at));
            }
        }
    }

    private static bool MayShare(RegisterModel a, RegisterModel b)
    {
        if (a.IsWindow || a.IsPair || b.IsPair || !new SlotGroup(a).Takes(b)) return false;
        bool apart = (a.Access, b.Access) is (Access.ReadOnly, Access.WriteOnly) or (Access.WriteOnly, Access.ReadOnly);
        return apart || Guards.Disjoint(a, b);
    }

    public static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>The bytes, or indices, that a register covers: elements of <see cref="Length"/> at a distance of <see cref="Stride"/>.</summary>
    internal readonly record struct Shape(ulong Start, ulong Length, ulong Stride, ulong Count)
    {
        public ulong End => Start + Stride * (Count - 1) + Length;

        public static Shape Of(RegisterModel r, int? unit) =>
            new((ulong)r.Offset, (ulong)(unit ?? (r.IsWindow ? r.Window : Math.Max(r.Width, 1))), (ulong)r.Stride, (ulong)Math.Max(r.Count, 1));

        /// <summary>The first place that both cover, or null.</summary>
        public ulong? Meet(Shape other)
        {
            if (Start >= other.End || other.Start >= End) return null;
            for (ulong i = 0; i < Count; i++)
            {
                ulong start = Start + i * Stride;
                if (other.Touch(start, Length) is { } at) return at;
            }
            return null;
        }

        private ulong? Touch(ulong start, ulong length)
        {
            ulong first = start > Start && Stride > 0 ? Math.Min((start - Start) / Stride, Count - 1) : 0;
            for (ulong i = first; i < Math.Min(first + 2, Count); i++)
            {
                ulong mine = Start + i * Stride;
                if (mine < start + length && start < mine + Length) return Math.Max(mine, start);
            }
            return null;
        }
    }
}
