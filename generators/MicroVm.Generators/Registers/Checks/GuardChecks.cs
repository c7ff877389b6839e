using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG007, 008 and 017: guards.</summary>
internal static class GuardChecks
{
    public static void Run(BlockScope scope, DiagnosticBag diagnostics)
    {
        foreach (RegisterModel r in scope.Block.Flatten())
        {
            foreach (GuardTerm term in r.Guard) Term(scope, r, term, diagnostics);
            Contradiction(r, diagnostics);
        }
    }

    private static void Term(BlockScope scope, RegisterModel r, GuardTerm term, DiagnosticBag diagnostics)
    {
        var found = scope.Fields(term.Field);
        if (found.Count == 0)
        {
            IEnumerable<string> known = scope.Block.Flatten().SelectMany(static x => x.Fields).Where(static f => f.IsBit).Select(static f => f.Name.Text);
            diagnostics.Add("MVG007", term.Field.Pos, "bit field", term.Field.Text, Nearest.Advice(term.Field.Member.Text, known));
            return;
        }
        (RegisterModel register, FieldModel field) = found[0];
        string? reason = null;
        if (found.Count > 1)
        {
            reason = "'" + register.Name.Text + "' and '" + found[1].Register.Name.Text + "' both have such a field; write '" + register.Name.Text + "." + field.Name.Text + "'";
        }
        else if (!field.IsBit) reason = "it is " + LayoutChecks.Number(field.High - field.Low + 1) + " bits wide; a guard asks for one bit";
        else if (register.IsArray) reason = "'" + register.Name.Text + "' is an array; a guard asks a plain register";
        else if (register.StorageOf() is not (Storage.Field or Storage.Page)) reason = "'" + register.Name.Text + "' keeps no value of its own; a guard asks a stored register";
        if (reason is not null) diagnostics.Add("MVG017", term.Field.Pos, r.Name.Text, term.Field.Text, reason);
    }

    private static void Contradiction(RegisterModel r, DiagnosticBag diagnostics)
    {
        for (int i = 1; i < r.Guard.Count; i++)
        {
            GuardTerm term = r.Guard[i];
            bool against = r.Guard.Take(i).Any(t => t.Not != term.Not && t.Field.Text == term.Field.Text);
            if (against) diagnostics.Add("MVG008", term.Field.Pos, r.Name.Text, term.Field.Text);
        }
    }
}
