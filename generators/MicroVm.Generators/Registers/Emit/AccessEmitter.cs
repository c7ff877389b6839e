using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary><c>Read</c> and <c>Write</c> as the bus calls them: windows first, then the rule for widths, then the switch.</summary>
internal sealed class AccessEmitter(BlockScope scope, CodeWriter w)
{
    private AccessLine Rule => scope.Block.Access;

    public void Emit()
    {
        bool any = Rule.Rule == WidthRule.Any && scope.Groups.Count > 0;
        w.Line("/// <inheritdoc/>");
        w.Open("public IoStatus Read(uint offset, int width, out ulong value)");
        w.Line("value = 0;");
        Prologue(write: false);
        if (any) MergingEmitter.Read(w, scope);
        else w.Line("return ReadAt(offset, out value);");
        w.Close();
        w.Line();
        w.Line("/// <inheritdoc/>");
        string write = scope.Publishes ? "private IoStatus WriteRegister" : "public IoStatus Write";
        if (scope.Publishes) Publishing();
        w.Open(write + "(uint offset, int width, ulong value)");
        Prologue(write: true);
        if (any) MergingEmitter.Write(w, scope);
        else w.Line("return WriteAt(offset, value);");
        w.Close();
        if (any) MergingEmitter.Helpers(w, scope);
        else if (NeedsWidths) Widths();
        foreach (RegisterModel window in scope.Windows.Where(static r => r.Resident)) ResidentWindow(window);
    }

    private void Publishing()
    {
        w.Open("public IoStatus Write(uint offset, int width, ulong value)");
        w.Line("IoStatus status = WriteRegister(offset, width, value);");
        w.Line("// A refused write may still have changed something: its hook ran.");
        w.Line("if (status is IoStatus.Ok or IoStatus.Refused) PublishResident();");
        w.Line("return status;");
        w.Close();
        w.Line();
    }

    private void Prologue(bool write)
    {
        foreach (RegisterModel window in scope.Windows) Window(window, write);
        switch (Rule.Rule)
        {
            case WidthRule.Any:
                w.Line("if (width is not (1 or 2 or 4 or 8)) return IoStatus.BadWidth;");
                break;
            case WidthRule.Exact when !NeedsWidths:
                w.Line("if (width != " + Number(Rule.Width) + ") return IoStatus.BadWidth;");
                break;
            case WidthRule.Exact:
                w.Line("int legal = offset < " + Hex((ulong)Rule.Below) + " ? " + Number(Rule.Width) + " : WidthAt(offset);");
                w.Line("if (legal == 0) return IoStatus.NoRegister;");
                w.Line("if (width != legal) return IoStatus.BadWidth;");
                break;
            default:
                w.Line("int legal = WidthAt(offset);");
                w.Line("if (legal == 0) return IoStatus.NoRegister;");
                w.Line("if (width != legal) return IoStatus.BadWidth;");
                break;
        }
    }

    private bool NeedsWidths => Rule.Rule == WidthRule.Natural
        || (Rule.Rule == WidthRule.Exact && scope.Groups.Exists(g => Ends(g.First) > Rule.Below));

    private static int Ends(RegisterModel r) => r.Offset + r.Stride * Math.Max(r.Count - 1, 0) + 1;

    private void Window(RegisterModel window, bool write)
    {
        string start = Hex((ulong)window.Offset);
        string length = Hex((ulong)window.Window) + "u";
        string inside = window.Offset == 0 ? "offset" : "offset - " + start;
        w.Line(Cases.Comment(scope, window));
        w.Open("if (" + inside + " < " + length + ")");
        w.Line("if ((uint)width > " + length + " - (" + inside + ")) return IoStatus.NoRegister;");
        if (write && new Expressions(scope).Guard(window) is { } guard) w.Line("if (" + Expressions.Not(guard) + ") return IoStatus.WrongState;");
        w.Line("return " + (write ? "Write" : "Read") + window.Name.Text + "(" + inside + ", width, " + (write ? "value" : "out value") + ");");
        w.Close();
    }

    private void Widths()
    {
        w.Line();
        w.Line("/// <summary>The width of the register at an offset, or 0.</summary>");
        w.Open("private static int WidthAt(uint offset)");
        w.Open("switch (offset)");
        foreach (SlotGroup group in scope.Groups)
        {
            RegisterModel r = group.First;
            for (int half = r.Halves ? 1 : 0; half <= (r.Halves ? 2 : 0); half++)
            {
                w.Line("case " + Cases.Label(r, half == 2 ? r.HighOffset : r.Offset, "offset") + ": return " + Number(r.Halves ? r.Width / 2 : r.Width) + ";");
            }
        }
        w.Line("default: return 0;");
        w.Close();
        w.Close();
    }

    private void ResidentWindow(RegisterModel window)
    {
        string at = window.Offset == 0 ? "offset" : Hex((ulong)window.Offset) + " + offset";
        w.Line();
        w.Line("/// <summary>The bytes of " + window.Name.Text + " as the guest reads them. The device writes them here.</summary>");
        w.Line("private Span<byte> " + window.Name.Text + "Bytes => _page.Bytes(" + Hex((ulong)window.Offset) + ", " + Hex((ulong)window.Window) + ");");
        w.Line();
        w.Open("private IoStatus Read" + window.Name.Text + "(uint offset, int width, out ulong value)");
        w.Open("switch (width)");
        foreach (int width in new[] { 1, 2, 4, 8 })
        {
            w.Line("case " + Number(width) + ": value = _page.Load<" + Semantics.TypeName(width) + ">(" + at + "); return IoStatus.Ok;");
        }
        w.Line("default: value = 0; return IoStatus.BadWidth;");
        w.Close();
        w.Close();
    }
}
