using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Registers.Emit.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The switch behind <c>Read</c>: one case per register, or per half of one.</summary>
internal sealed class ReadEmitter(BlockScope scope, CodeWriter w)
{
    private readonly Expressions _expressions = new(scope);

    public void Emit()
    {
        Method("ReadAt", "uint offset", scope.Groups, "offset", "IoStatus.NoRegister");
        foreach (RegisterModel pair in scope.Block.Registers.Where(static r => r.IsPair))
        {
            w.Line();
            w.Line("/// <summary>The register behind " + pair.Name.Text + " that " + pair.IndexedBy!.Text + " names.</summary>");
            Method("Read" + pair.Name.Text, "uint at", BlockScope.Group(pair.Rows), "at", "IoStatus.NoSuchIndex");
        }
    }

    private void Method(string name, string parameter, List<SlotGroup> groups, string subject, string missing)
    {
        w.Open("private IoStatus " + name + "(" + parameter + ", out ulong value)");
        w.Line("value = 0;");
        w.Open("switch (" + subject + ")");
        foreach (SlotGroup group in groups)
        {
            foreach (RegisterModel r in group.Registers) w.Line(Cases.Comment(scope, r));
            bool halved = group.First.Halves && scope.Block.Access.Rule != WidthRule.Any;
            for (int half = halved ? 1 : 0; half <= (halved ? 2 : 0); half++) Case(group, half, subject);
        }
        w.Line("default: return " + missing + ";");
        w.Close();
        w.Close();
    }

    private void Case(SlotGroup group, int half, string subject)
    {
        var body = new List<string>();
        bool decided = false;
        int found = 0;
        foreach (RegisterModel r in group.Readable)
        {
            found++;
            string? guard = group.SelectsOnRead(r) ? _expressions.Guard(r) : null;
            if (guard is not null) body.AddRange(["if (" + guard + ")", "{"]);
            Body(body, r, half);
            if (guard is not null) body.Add("}");
            decided |= guard is null;
            if (decided) break;
        }
        if (found == 0) body.Add("return IoStatus.WriteOnly;");
        else if (!decided) body.Add("return IoStatus.WrongState;");
        Cases.Emit(w, group.First, half, subject, body);
    }

    private void Body(List<string> body, RegisterModel r, int half)
    {
        if (r.IsPair)
        {
            body.Add("return Read" + r.Name.Text + "(_r." + r.IndexedBy!.Text + ", out value);");
            return;
        }
        if (r.Access == Access.ReadToClear) Clear(body, r);
        else
        {
            body.Add("value = " + Half(r, half) + ";");
        }
        body.Add("return IoStatus.Ok;");
    }

    private string Half(RegisterModel r, int half)
    {
        if (half > 0 && r.StorageOf() == Storage.Constant) return Literal(half == 1 ? (uint)r.Reset : r.Reset >> 32, 4);
        string value = r.Take is not null ? Expressions.Call(r.Take, r) : _expressions.Value(r) ?? "0";
        return half switch { 1 => "(uint)" + value, 2 => value + " >> 32", _ => value };
    }

    private void Clear(List<string> body, RegisterModel r)
    {
        string place = _expressions.Place(r);
        if (r.Atomic)
        {
            body.Add("value = Interlocked.Exchange(ref " + place + ", 0);");
            return;
        }
        body.Add("value = " + place + ";");
        body.Add(place + " = 0;");
    }
}
