using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>Declarations of the hooks. <c>private partial</c>, so that a missing one is an error, and <c>#line</c>, so that it is one at its register.</summary>
internal static class HookEmitter
{
    public static void Emit(CodeWriter w, BlockScope scope)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (RegisterModel r in scope.Block.Flatten())
        {
            foreach (string signature in Signatures(r))
            {
                if (seen.Add(signature)) Hook(w, scope.Block.File, r, signature);
            }
        }
        if (scope.Block.Snapshot is { Hidden: true } clause)
        {
            Hook(w, scope.Block.File, clause.Pos.Row, "Writes what the registers do not show, under tags from 0x1_0000 to 0xff_ffff", "void SaveHidden(ref SnapshotWriter writer)");
            Hook(w, scope.Block.File, clause.Pos.Row, "Takes one entry of hidden state; unknown ones it leaves alone. The registers may not be loaded yet", "void LoadHidden(ulong tag, ReadOnlySpan<byte> value)");
            Hook(w, scope.Block.File, clause.Pos.Row, "Everything is loaded; the page is published after this", "void Loaded()");
        }
    }

    /// <summary>The register's hooks by name, for the check that no two things have one name.</summary>
    public static IEnumerable<(Syntax.Name Name, string Signature)> Named(RegisterModel r)
    {
        foreach (string signature in Signatures(r))
        {
            string name = signature.Substring(0, signature.IndexOf('('));
            name = name.Substring(name.LastIndexOf(' ') + 1);
            Syntax.Name?[] hooks = [r.From?.Member, r.Take, r.Then, r.Via];
            yield return (hooks.FirstOrDefault(h => h?.Text == name) ?? r.Name with { Text = name }, signature);
        }
    }

    private static IEnumerable<string> Signatures(RegisterModel r)
    {
        if (r.IsWindow)
        {
            if (!r.Resident) yield return "IoStatus Read" + r.Name.Text + "(uint offset, int width, out ulong value)";
            yield return "IoStatus Write" + r.Name.Text + "(uint offset, int width, ulong value)";
            yield break;
        }
        string type = Semantics.TypeName(r.Width);
        string index = r.IsArray ? "int index" : "";
        string more = r.IsArray ? "int index, " : "";
        if (r.From is { Owner: null } from) yield return type + " " + from.Member.Text + "(" + index + ")";
        if (r.Take is { } take) yield return type + " " + take.Text + "(" + index + ")";
        if (r.Then is { } then) yield return "void " + then.Text + "(" + more + type + " value)";
        if (r.Via is { } via) yield return type + " " + via.Text + "(" + more + type + " old, " + type + " value)";
    }

    private static void Hook(CodeWriter w, string file, RegisterModel r, string signature) => Hook(w, file, r.Row, r.Name.Text + (r.Doc.Length == 0 ? "" : ": " + r.Doc), signature);

    private static void Hook(CodeWriter w, string file, int row, string doc, string signature)
    {
        w.Line();
        w.Summary(doc);
        w.Directive("#line " + Number(row) + " " + "\"" + file + "\"");
        w.Line("private partial " + signature + ";");
        w.Directive("#line default");
    }
}
