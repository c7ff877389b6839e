using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>Bit fields: masks in <c>Bits</c>, and a property for each field of a stored register.</summary>
internal static class FieldEmitter
{
    public static void Emit(CodeWriter w, BlockScope scope)
    {
        RegisterModel[] fielded = [.. scope.Block.Flatten().Where(static r => r.Fields.Count > 0)];
        if (fielded.Length == 0) return;
        foreach (RegisterModel r in fielded.Where(static r => !r.IsArray && r.StorageOf() is Storage.Field or Storage.Page))
        {
            foreach (FieldModel f in r.Fields.Where(static f => f.Value is null)) Property(w, new Expressions(scope), r, f);
        }
        w.Line();
        w.Line("/// <summary>Masks of the bit fields; of a wider field also its lowest bit's number, and its named values in place.</summary>");
        w.Open("public static class Bits");
        foreach (RegisterModel r in fielded)
        {
            foreach (FieldModel f in r.Fields) Constants(w, r, f);
        }
        w.Close();
    }

    private static void Constants(CodeWriter w, RegisterModel r, FieldModel f)
    {
        string name = r.Name.Text + f.Name.Text;
        ulong value = f.Value is { } named ? named << f.Low : f.Mask;
        w.Line("public const " + Semantics.TypeName(r.Width) + " " + name + " = " + Literal(value & Semantics.All(r.Width), r.Width) + ";");
        if (f.Low != f.High && f.Value is null) w.Line("public const int " + name + "Shift = " + Number(f.Low) + ";");
    }

    private static void Property(CodeWriter w, Expressions expressions, RegisterModel r, FieldModel f)
    {
        bool settable = !r.Atomic;
        string name = r.Name.Text + f.Name.Text;
        string place = expressions.Place(r);
        string stored = expressions.Stored(r)!;
        string type = Semantics.TypeName(r.Width);
        string cast = r.Width < 4 ? "(" + type + ")" : "";
        string mask = Literal(f.Mask, r.Width);
        string rest = Literal(Semantics.All(r.Width) & ~f.Mask, r.Width);
        w.Line();
        if (f.IsBit)
        {
            string get = "(" + stored + " & " + mask + ") != 0";
            if (!settable) w.Line("private bool " + name + " => " + get + ";");
            else Accessors(w, "bool", name, get, place + " = " + cast + "(value ? " + place + " | " + mask + " : " + place + " & " + rest + ");");
            return;
        }
        int bits = f.High - f.Low + 1;
        string field = Semantics.TypeName(bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8);
        string shift = f.Low == 0 ? "" : " >> " + Number(f.Low);
        string value = "(" + field + ")((" + stored + " & " + mask + ")" + shift + ")";
        string moved = f.Low == 0 ? "(" + type + ")value" : "((" + type + ")value << " + Number(f.Low) + ")";
        if (!settable) w.Line("private " + field + " " + name + " => " + value + ";");
        else Accessors(w, field, name, value, place + " = " + cast + "((" + place + " & " + rest + ") | (" + moved + " & " + mask + "));");
    }

    private static void Accessors(CodeWriter w, string type, string name, string get, string set)
    {
        w.Open("private " + type + " " + name);
        w.Line("get => " + get + ";");
        w.Line("set => " + set);
        w.Close();
    }
}
