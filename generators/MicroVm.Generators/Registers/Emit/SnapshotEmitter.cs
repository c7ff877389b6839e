using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary><c>Save</c> and <c>Load</c>. Tags are described at <see cref="Tags"/>.</summary>
internal static class SnapshotEmitter
{
    public static void Emit(CodeWriter w, BlockScope scope)
    {
        bool saves = scope.Block.Snapshot is not null;
        var tags = saves ? Tags.Of(scope.Block) : [];
        bool hidden = scope.Block.Snapshot is { Hidden: true };
        w.Line();
        w.Line("/// <inheritdoc/>");
        w.Open("public void Save(ref SnapshotWriter writer)");
        foreach ((uint tag, RegisterModel r) in tags) Save(w, scope, tag, r);
        if (hidden) w.Line("SaveHidden(ref writer);");
        w.Close();
        w.Line();
        w.Line("/// <inheritdoc/>");
        w.Open("public void Load(ref SnapshotReader reader)");
        if (saves) Load(w, scope, tags, hidden);
        w.Close();
        if (tags.Count > 0) Helpers(w, tags);
    }

    private static void Save(CodeWriter w, BlockScope scope, uint tag, RegisterModel r)
    {
        string width = Number(r.Width);
        if (r.Into is { } into) Loop(into.Owner!.Text + ".Length", into.Owner.Text + "[i]." + into.Member.Text);
        else if (r.IsArray) Loop("_r." + r.Name.Text + ".Length", "_r." + r.Name.Text + "[i]");
        else w.Line("writer.Write(" + Hex(tag) + ", " + new Expressions(scope).Stored(r) + ", " + width + ");");

        void Loop(string length, string element) =>
            w.Line("for (int i = 0; i < " + length + "; i++) writer.Write(((ulong)i << 32) | " + Hex(tag) + ", " + element + ", " + width + ");");
    }

    private static void Load(CodeWriter w, BlockScope scope, List<(uint Tag, RegisterModel Register)> tags, bool hidden)
    {
        w.Line("ResetRegisters();");
        w.Open("while (reader.TryRead(out ulong tag, out ReadOnlySpan<byte> bytes))");
        w.Open("switch ((uint)tag)");
        foreach ((uint tag, RegisterModel r) in tags) w.Line("case " + Hex(tag) + ": " + Store(scope, r) + " break; // " + r.Name.Text);
        if (hidden) w.Line("case >= 0x1_0000 and <= 0xff_ffff: LoadHidden(tag, bytes); break;");
        w.Line("default: break; // saved by another version");
        w.Close();
        w.Close();
        if (hidden) w.Line("Loaded();");
        if (scope.Publishes) w.Line("PublishResident();");
    }

    private static string Store(BlockScope scope, RegisterModel r)
    {
        string value = "Checked(tag, bytes, " + Number(r.Width) + ", " + Hex(r.LegalBits()) + ")";
        if (r.Width < 8) value = "(" + Semantics.TypeName(r.Width) + ")" + value;
        if (r.Into is { } into) return into.Owner!.Text + "[Index(tag, " + into.Owner.Text + ".Length)]." + into.Member.Text + " = " + value + ";";
        if (r.IsArray) return "_r." + r.Name.Text + "[Index(tag, " + Number(r.Count) + ")] = " + value + ";";
        string place = new Expressions(scope).Place(r);
        return r.Atomic ? "Volatile.Write(ref " + place + ", " + value + ");" : place + " = " + value + ";";
    }

    private static void Helpers(CodeWriter w, List<(uint Tag, RegisterModel Register)> tags)
    {
        w.Line();
        w.Line("/// <summary>A saved value; one with bits that the register does not have is refused.</summary>");
        w.Open("private static ulong Checked(ulong tag, ReadOnlySpan<byte> bytes, int width, ulong legal)");
        w.Line("ulong value = SnapshotReader.Value(tag, bytes, width);");
        w.Line("if ((value & ~legal) != 0) throw new SnapshotException($\"entry 0x{tag:x} has value 0x{value:x}, bits 0x{value & ~legal:x} of which do not exist\");");
        w.Line("return value;");
        w.Close();
        if (!tags.Exists(static t => t.Register.Into is not null || t.Register.IsArray)) return;
        w.Line();
        w.Open("private static int Index(ulong tag, int length)");
        w.Line("if (tag >> 32 >= (ulong)length) throw new SnapshotException($\"entry 0x{tag:x} has index {tag >> 32}, there are {length}\");");
        w.Line("return (int)(tag >> 32);");
        w.Close();
    }
}
