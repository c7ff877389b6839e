using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The switch behind <c>Write</c>: guard, bank, mask, store, hook, in this order.</summary>
internal sealed class WriteEmitter(BlockScope scope, CodeWriter w) : SwitchEmitter(scope, w)
{
    protected override string Verb => "Write";

    protected override string Does => "Writes the";

    protected override string ValueParameter => "ulong value";

    protected override string? First => null;

    protected override List<string> Body(SlotGroup group, int half)
    {
        RegisterModel[] writable = [.. group.Writable];
        var body = new List<string>();
        if (writable.Length == 0) body.Add("return IoStatus.ReadOnly;");
        else if (writable.Length == 1) Single(body, writable[0], half);
        else Several(body, writable, half);
        return body;
    }

    private void Single(List<string> body, RegisterModel r, int half)
    {
        if (Expressions.Guard(r) is { } guard) body.Add("if (" + Expressions.Not(guard) + ") return IoStatus.WrongState;");
        Register(body, r, half);
    }

    private void Several(List<string> body, RegisterModel[] writable, int half)
    {
        bool decided = false;
        foreach (RegisterModel r in writable)
        {
            string? guard = Expressions.Guard(r);
            if (guard is not null) body.AddRange(["if (" + guard + ")", "{"]);
            Register(body, r, half);
            if (guard is not null) body.Add("}");
            decided = guard is null;
            if (decided) break;
        }
        if (!decided) body.Add("return IoStatus.WrongState;");
    }

    private void Register(List<string> body, RegisterModel r, int half)
    {
        if (r.IsPair)
        {
            body.Add("return Write" + r.Name.Text + "(_r." + r.IndexedBy!.Text + ", value);");
            return;
        }
        if (r.StorageOf() == Storage.Bank) body.Add("if (" + Expressions.InBank(r, negated: true) + ") return IoStatus.NoSuchIndex;");
        if (r.Access == Access.WriteOneToClear) WriteOneToClear(body, r);
        else if (r.StorageOf() == Storage.None) body.Add(Expressions.Call(r.Then!, r, Merged(r, half)) + ";");
        else if (r.Via is not null)
        {
            Via(body, r, half);
            return;
        }
        else Store(body, r, half);
        body.Add("return IoStatus.Ok;");
    }

    private void WriteOneToClear(List<string> body, RegisterModel r)
    {
        string type = Semantics.TypeName(r.Width);
        string incoming = Cast(r.Width, "value");
        ulong mask = r.WriteMask();
        RegisterModel? cleared = r;
        if (r.Target is { } target)
        {
            cleared = Scope.Register((target.Owner ?? target.Member).Text);
            if (cleared is null) return;
            mask &= cleared.LegalBits();
            if (target.Owner is not null) mask &= Scope.Fields(target).FirstOrDefault().Field?.Mask ?? 0;
        }
        if (mask != Semantics.All(r.Width)) incoming = "(" + incoming + " & " + Literal(mask, r.Width) + ")";
        string place = Expressions.Place(cleared);
        // Nothing raises the bits of a constant.
        if (cleared.StorageOf() != Storage.Constant)
            body.Add(cleared.Atomic ? "Interlocked.And(ref " + place + ", ~" + incoming + ");" : place + " = " + Cast(r.Width, "(" + place + " & ~" + incoming + ")") + ";");
        if (r.Then is not null) body.Add(Expressions.Call(r.Then, r, r.Width < 4 && incoming[0] == '(' ? "(" + type + ")" + incoming : incoming) + ";");
    }

    private void Store(List<string> body, RegisterModel r, int half)
    {
        body.Add(Expressions.Place(r) + " = " + Merged(r, half) + ";");
        if (r.Then is not null) body.Add(Expressions.Call(r.Then, r, Expressions.Place(r)) + ";");
    }

    private void Via(List<string> body, RegisterModel r, int half)
    {
        string type = Semantics.TypeName(r.Width);
        body.Add(type + " old = " + Expressions.Place(r) + ";");
        body.Add(type + " wanted = " + Merged(r, half) + ";");
        body.Add(type + " stored = " + Expressions.Call(r.Via!, r, "old", "wanted") + ";");
        body.Add(Expressions.Place(r) + " = stored;");
        body.Add("return stored == old && wanted != old ? IoStatus.Refused : IoStatus.Ok;");
    }

    /// <summary>The register's new value: the written bits that the mask lets through, the others as they were.</summary>
    private string Merged(RegisterModel r, int half)
    {
        ulong reach = half switch { 1 => 0xffff_ffff, 2 => 0xffff_ffff_0000_0000, _ => Semantics.All(r.Width) };
        string incoming = half switch { 1 => "(uint)value", 2 => "(value << 32)", _ => Cast(r.Width, "value") };
        ulong mask = r.WriteMask() & reach;
        if (mask != reach) incoming = "(" + incoming + " & " + Literal(mask, r.Width) + ")";
        ulong kept = Semantics.All(r.Width) & ~mask;
        bool hasOld = r.StorageOf() is Storage.Field or Storage.Bank;
        if (kept == 0) return incoming;
        if (!hasOld) return mask == reach ? incoming : Cast(r.Width, incoming);
        return Cast(r.Width, "((" + Expressions.Place(r) + " & " + Literal(kept, r.Width) + ") | " + incoming + ")");
    }

    private static string Cast(int width, string expression) => width switch
    {
        1 => "(byte)" + expression,
        2 => "(ushort)" + expression,
        4 when expression == "value" => "(uint)" + expression,
        _ => expression,
    };
}
