using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Registers.Emit.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>Labels of cases: a constant for a register, a range with a stride for an array.</summary>
internal static class Cases
{
    /// <summary>Opens a case; disposing closes it.</summary>
    public static Scope Open(CodeWriter w, RegisterModel r, int half, string subject)
    {
        int offset = half == 2 ? r.HighOffset : r.Offset;
        w.Line("case " + Label(r, offset, subject) + ":");
        w.Open();
        if (r.IsArray) w.Line("int " + Expressions.Index + " = (int)(" + Distance(offset, subject) + (r.Stride == 1 ? "" : " / " + Number(r.Stride)) + ");");
        return new Scope(w);
    }

    /// <summary>The line of the definition, as it stands beside each case.</summary>
    public static string Comment(BlockScope scope, RegisterModel r)
    {
        string file = scope.Block.File;
        return "// " + file.Substring(file.LastIndexOf('/') + 1) + "(" + Number(r.Row) + "): " + r.Text;
    }

    public static string Label(RegisterModel r, int offset, string subject)
    {
        if (!r.IsArray) return Hex((ulong)offset);
        ulong end = (ulong)offset + (ulong)r.Stride * (ulong)(r.Count - 1);
        string range = (offset == 0 ? "" : ">= " + Hex((ulong)offset) + " and ") + "<= " + Hex(end);
        return r.Stride == 1 ? range : range + " when " + Distance(offset, subject) + " % " + Number(r.Stride) + " == 0";
    }

    private static string Distance(int offset, string subject) => offset == 0 ? subject : "(" + subject + " - " + Hex((ulong)offset) + ")";

    public readonly struct Scope(CodeWriter w) : IDisposable
    {
        public void Dispose() => w.Close();
    }
}
