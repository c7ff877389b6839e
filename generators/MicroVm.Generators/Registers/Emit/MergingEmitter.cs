using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary><c>access any</c>: an access is cut at the registers' borders, each part is read from, or merged into, a whole register.</summary>
internal static class MergingEmitter
{
    public static void Read(CodeWriter w, BlockScope scope)
    {
        Bounds(w, scope);
        w.Line("IoStatus status = IoStatus.NoRegister;");
        w.Open("for (int done = 0; done < width;)");
        w.Line("uint at = offset + (uint)done;");
        w.Line("int length = LengthAt(at, out uint start);");
        w.Line("int skip = (int)(at - start);");
        w.Line("int count = Math.Min(Math.Max(length, 1) - skip, width - done);");
        w.Line("ulong whole = 0;");
        w.Line("IoStatus part = length == 0 ? IoStatus.NoRegister : ReadAt(start, out whole);");
        w.Line("value |= ((whole >> (8 * skip)) & Ones(count)) << (8 * done);");
        w.Line("status = Merge(status, part);");
        w.Line("done += count;");
        w.Close();
        w.Line("if (status != IoStatus.Ok) value = 0;");
        w.Line("return status;");
    }

    public static void Write(CodeWriter w, BlockScope scope)
    {
        Bounds(w, scope);
        w.Line("IoStatus status = IoStatus.NoRegister;");
        w.Open("for (int done = 0; done < width;)");
        w.Line("uint at = offset + (uint)done;");
        w.Line("int length = LengthAt(at, out uint start);");
        w.Line("int skip = (int)(at - start);");
        w.Line("int count = Math.Min(Math.Max(length, 1) - skip, width - done);");
        w.Line("ulong whole = (value >> (8 * done)) & Ones(count);");
        w.Line("// What the access does not reach keeps its value.");
        w.Line("if (count < length) whole = (PeekAt(start) & ~(Ones(count) << (8 * skip))) | (whole << (8 * skip));");
        w.Line("status = Merge(status, length == 0 ? IoStatus.NoRegister : WriteAt(start, whole));");
        w.Line("done += count;");
        w.Close();
        w.Line("return status;");
    }

    public static void Helpers(CodeWriter w, BlockScope scope)
    {
        Lengths(w, scope);
        Peek(w, scope);
        w.Line();
        w.Line("private static ulong Ones(int bytes) => bytes >= 8 ? ulong.MaxValue : (1ul << (8 * bytes)) - 1;");
        w.Line();
        w.Line("/// <summary>One answer for the parts of an access: a refusal wins, then success, then a register that goes the other way only, then none.</summary>");
        w.Open("private static IoStatus Merge(IoStatus a, IoStatus b)");
        w.Line("if (Rank(b) > Rank(a)) return b;");
        w.Line("return a;");
        w.Line();
        w.Line("static int Rank(IoStatus s) => s switch { IoStatus.NoRegister => 0, IoStatus.ReadOnly or IoStatus.WriteOnly => 1, IoStatus.Ok => 2, _ => 3 };");
        w.Close();
    }

    private static void Bounds(CodeWriter w, BlockScope scope)
    {
        string size = Hex((ulong)scope.Block.Size) + "u";
        w.Line("if (offset >= " + size + " || (uint)width > " + size + " - offset) return IoStatus.NoRegister;");
    }

    private static void Lengths(CodeWriter w, BlockScope scope)
    {
        w.Line();
        w.Line("/// <summary>The register that holds the byte at an offset: where it starts, and its bytes; 0 where there is none.</summary>");
        w.Open("private static int LengthAt(uint at, out uint start)");
        w.Open("switch (at)");
        foreach (SlotGroup group in scope.Groups)
        {
            RegisterModel r = group.First;
            ulong last = (ulong)r.Offset + (ulong)(r.Stride * Math.Max(r.Count - 1, 0)) + (ulong)r.Width - 1;
            string range = (r.Offset == 0 ? "" : ">= " + Hex((ulong)r.Offset) + " and ") + "<= " + Hex(last);
            if (last == (ulong)r.Offset) range = Hex(last);
            string start = Hex((ulong)r.Offset);
            string inside = r.Offset == 0 ? "at" : "(at - " + start + ")";
            if (r.IsArray && r.Stride > r.Width) range += " when " + inside + " % " + Number(r.Stride) + " < " + Number(r.Width);
            if (r.IsArray) start = "at - " + inside + " % " + Number(r.Stride);
            w.Line("case " + range + ": start = " + start + "; return " + Number(r.Width) + ";");
        }
        w.Line("default: start = at; return 0;");
        w.Close();
        w.Close();
    }

    private static void Peek(CodeWriter w, BlockScope scope)
    {
        var expressions = new Expressions(scope);
        w.Line();
        w.Line("/// <summary>What a partial write is merged into: the value of the register that would be written, read without an effect.</summary>");
        w.Open("private ulong PeekAt(uint offset)");
        w.Open("switch (offset)");
        foreach (SlotGroup group in scope.Groups)
        {
            RegisterModel[] kept = [.. group.Writable.Where(r => r.Access != Access.WriteOneToClear && expressions.Value(r) is not null)];
            if (kept.Length == 0) continue;
            var body = new List<string>();
            bool decided = false;
            foreach (RegisterModel r in kept)
            {
                string? guard = group.Writable.Count() > 1 ? expressions.Guard(r) : null;
                body.Add((guard is null ? "" : "if (" + guard + ") ") + "return " + expressions.Value(r) + ";");
                decided = guard is null;
                if (decided) break;
            }
            if (!decided) body.Add("return 0;");
            Cases.Emit(w, group.First, 0, "offset", body);
        }
        w.Line("default: return 0;");
        w.Close();
        w.Close();
    }
}
