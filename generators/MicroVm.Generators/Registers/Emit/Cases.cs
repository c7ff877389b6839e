using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>Labels of cases: a constant for a register, a range with a stride for an array.</summary>
internal static class Cases
{
    private const int OneLine = 120;

    /// <summary>Writes one case: on one line where it is short, in braces where it needs names of its own.</summary>
    public static void Emit(CodeWriter w, RegisterModel r, int half, string subject, List<string> body)
    {
        int offset = half == 2 ? r.HighOffset : r.Offset;
        string label = "case " + Label(r, offset, subject) + ":";
        if (r.IsArray && body.Exists(static l => l.Contains(Expressions.Index)))
        {
            body.Insert(0, "int " + Expressions.Index + " = (int)(" + Distance(offset, subject) + (r.Stride == 1 ? "" : " / " + Number(r.Stride)) + ");");
        }
        string line = label + " " + string.Join(" ", body);
        bool plain = !body.Exists(static l => l.StartsWith("if ", StringComparison.Ordinal) || l.StartsWith("int ", StringComparison.Ordinal));
        if (plain && body.Count <= 2 && line.Length <= OneLine)
        {
            w.Line(line);
            return;
        }
        w.Line(label);
        bool locals = body.Exists(static l => l.StartsWith("int ", StringComparison.Ordinal) || l.Contains(" old = "));
        if (locals) w.Open();
        else w.Indent();
        foreach (string statement in body)
        {
            if (statement == "{") w.Open();
            else if (statement == "}") w.Close();
            else w.Line(statement);
        }
        if (locals) w.Close();
        else w.Outdent();
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
}
