using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Registers.Checks.FileChecks;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG004, 005 and 018: bits and values of one register.</summary>
internal static class ValueChecks
{
    public static void Run(RegisterModel r, DiagnosticBag diagnostics)
    {
        if (r.Width == 0) return;
        Fits("the reset value", r.Reset, r.ResetPos, r, diagnostics);
        if (r.Mask is { } mask) Fits("the mask", mask, r.MaskPos, r, diagnostics);
        if (r.DoorbellMatch is { } match) Fits("the doorbell's value", match, r.DoorbellPos, r, diagnostics);
        Fields(r, diagnostics);
        ulong stray = r.Reset & ~(r.FieldBits() | (r.Mask ?? 0)) & Semantics.All(r.Width);
        if (r.Fields.Count > 0 && r.StorageOf() != Storage.Constant && stray != 0)
        {
            diagnostics.Add("MVG005", r.ResetPos, r.Name.Text, Hex(r.Reset), Hex(stray));
        }
    }

    private static void Fits(string what, ulong value, Pos pos, RegisterModel r, DiagnosticBag diagnostics)
    {
        if (value > Semantics.All(r.Width)) diagnostics.Add("MVG018", pos, what, r.Name.Text, Hex(value), LayoutChecks.Number(8 * r.Width));
    }

    private static void Fields(RegisterModel r, DiagnosticBag diagnostics)
    {
        for (int i = 0; i < r.Fields.Count; i++)
        {
            FieldModel f = r.Fields[i];
            if (f.High >= 8 * r.Width)
            {
                string end = "ends at bit " + LayoutChecks.Number(f.High) + ", outside its " + LayoutChecks.Number(8 * r.Width) + " bits; widen the register or move the field";
                diagnostics.Add("MVG004", f.Name.Pos, f.Name.Text, r.Name.Text, end);
            }
            if (f.Value is { } value && value > f.Mask >> f.Low)
            {
                diagnostics.Add("MVG018", f.Name.Pos, "the value '" + f.Name.Text + "'", r.Name.Text, Hex(value), LayoutChecks.Number(f.High - f.Low + 1));
            }
            FieldModel? other = r.Fields.Take(i).FirstOrDefault(o => o.Low <= f.High && f.Low <= o.High && !MayShare(o, f));
            if (other is null) continue;
            string at = "overlaps '" + other.Name.Text + "' at bit " + LayoutChecks.Number(Math.Max(other.Low, f.Low)) + "; move one of them";
            diagnostics.Add("MVG004", f.Name.Pos, f.Name.Text, r.Name.Text, at);
        }
    }

    /// <summary>Named values stand on the bits of their field, or of other values of it.</summary>
    private static bool MayShare(FieldModel a, FieldModel b) => a.Low == b.Low && a.High == b.High && (a.Value is not null || b.Value is not null);
}
