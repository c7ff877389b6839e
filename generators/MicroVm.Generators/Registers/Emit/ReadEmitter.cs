using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The switch behind <c>Read</c>.</summary>
internal sealed class ReadEmitter(BlockScope scope, CodeWriter w) : SwitchEmitter(scope, w)
{
    protected override string Verb => "Read";

    protected override string Does => "The";

    protected override string ValueParameter => "out ulong value";

    protected override string? First => "value = 0;";

    protected override List<string> Body(SlotGroup group, int half)
    {
        var body = new List<string>();
        bool decided = false;
        int found = 0;
        foreach (RegisterModel r in group.Readable)
        {
            found++;
            string? guard = group.SelectsOnRead(r) ? Expressions.Guard(r) : null;
            if (guard is not null) body.AddRange(["if (" + guard + ")", "{"]);
            Register(body, r, half);
            if (guard is not null) body.Add("}");
            decided |= guard is null;
            if (decided) break;
        }
        if (found == 0) body.Add("return IoStatus.WriteOnly;");
        else if (!decided) body.Add("return IoStatus.WrongState;");
        return body;
    }

    private void Register(List<string> body, RegisterModel r, int half)
    {
        if (r.IsPair)
        {
            body.Add("return Read" + r.Name.Text + "(_r." + r.IndexedBy!.Text + ", out value);");
            return;
        }
        if (r.Access == Access.ReadToClear) Clear(body, r);
        else body.Add("value = " + Half(r, half) + ";");
        body.Add("return IoStatus.Ok;");
    }

    private string Half(RegisterModel r, int half)
    {
        if (half > 0 && r.StorageOf() == Storage.Constant) return Literal(half == 1 ? (uint)r.Reset : r.Reset >> 32, 4);
        string value = r.Take is not null ? Expressions.Call(r.Take, r) : Expressions.Value(r) ?? "0";
        return half switch { 1 => "(uint)" + value, 2 => value + " >> 32", _ => value };
    }

    private void Clear(List<string> body, RegisterModel r)
    {
        string place = Expressions.Place(r);
        if (r.Atomic)
        {
            body.Add("value = Interlocked.Exchange(ref " + place + ", 0);");
            return;
        }
        body.Add("value = " + place + ";");
        body.Add(place + " = 0;");
    }
}
