using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary><c>Initialize</c>, <c>ResetRegisters</c>, <c>PublishResident</c>, and the accessors of atomic registers.</summary>
internal sealed class LifeEmitter(BlockScope scope, CodeWriter w)
{
    private readonly Expressions _expressions = new(scope);
    private readonly RegisterModel[] _all = [.. scope.Block.Flatten()];

    public void Emit()
    {
        Initialize();
        Reset();
        if (scope.HasPage) Publish();
        foreach (RegisterModel r in _all.Where(static r => r.Atomic && !r.IsArray)) Atomic(r);
    }

    private void Initialize()
    {
        var parameters = new List<string>();
        if (scope.HasPage) parameters.Add("ResidentPage? page");
        foreach (BankModel bank in scope.Block.Banks) parameters.Add("int " + Count(bank));
        w.Line();
        w.Line("/// <summary>To be called once, by the constructor, when everything that the read hooks use is there.</summary>");
        w.Open("private void Initialize(" + string.Join(", ", parameters) + ")");
        if (scope.HasPage) w.Line("_page = page ?? new ResidentPage((int)Size);");
        foreach (BankModel bank in scope.Block.Banks) w.Line(bank.Name.Text + " = new " + bank.Name.Text + "Bank[" + Count(bank) + "];");
        foreach (RegisterModel r in _all.Where(static r => r.IsArray && r.StorageOf() == Storage.Field))
        {
            w.Line("_r." + r.Name.Text + " = new " + Semantics.TypeName(r.Width) + "[" + Number(r.Count) + "];");
        }
        foreach (RegisterModel r in _all.Where(static r => r.Resident && r.StorageOf() == Storage.Constant)) Each(r, () => Store(r, Literal(r.Reset, r.Width)));
        w.Line("ResetRegisters();");
        w.Close();
    }

    private static string Count(BankModel bank) => bank.Name.Text.Substring(0, 1).ToLowerInvariant() + bank.Name.Text.Substring(1) + "Count";

    private void Reset()
    {
        w.Line();
        w.Line("/// <summary>Every stored register at its value after reset.</summary>");
        w.Open("internal void ResetRegisters()");
        foreach (RegisterModel r in _all)
        {
            string value = Literal(r.Reset, r.Width);
            switch (r.StorageOf())
            {
                case Storage.Page: w.Line("Volatile.Write(ref " + _expressions.Place(r) + ", " + value + ");"); break;
                case Storage.Field when r.IsArray: w.Line("Array.Fill(_r." + r.Name.Text + ", " + (r.Width < 4 ? "(" + Semantics.TypeName(r.Width) + ")" : "") + value + ");"); break;
                case Storage.Field when r.Atomic: w.Line("Volatile.Write(ref " + _expressions.Place(r) + ", " + value + ");"); break;
                case Storage.Field: w.Line("_r." + r.Name.Text + " = " + value + ";"); break;
            }
        }
        foreach (BankModel bank in scope.Block.Banks) ResetBank(bank);
        if (scope.Publishes) w.Line("PublishResident();");
        w.Close();
    }

    private void ResetBank(BankModel bank)
    {
        RegisterModel[] into = [.. _all.Where(r => r.Into?.Owner?.Text == bank.Name.Text)];
        if (into.Length == 0) return;
        w.Open("for (int i = 0; i < " + bank.Name.Text + ".Length; i++)");
        foreach (RegisterModel r in into) w.Line(bank.Name.Text + "[i]." + r.Into!.Member.Text + " = " + Literal(r.Reset, r.Width) + ";");
        w.Close();
    }

    private void Publish()
    {
        w.Line();
        w.Line("/// <summary>Makes the page true. Runs after each accepted write; the device calls it after it changed something of its own.</summary>");
        w.Open("internal void PublishResident()");
        foreach (RegisterModel r in _all.Where(static r => r is { Resident: true, IsWindow: false } && r.StorageOf() is not (Storage.Page or Storage.Constant)))
        {
            Each(r, () => Store(r, _expressions.Value(r) ?? "0"));
        }
        w.Close();
    }

    private void Each(RegisterModel r, Action body)
    {
        if (!r.IsArray)
        {
            body();
            return;
        }
        w.Open("for (int " + Expressions.Index + " = 0; " + Expressions.Index + " < " + Number(r.Count) + "; " + Expressions.Index + "++)");
        body();
        w.Close();
    }

    private void Store(RegisterModel r, string value)
    {
        string offset = Hex((ulong)r.Offset) + (r.IsArray ? " + (uint)" + Expressions.Index + " * " + Number(r.Stride) : "");
        w.Line("_page.Store<" + Semantics.TypeName(r.Width) + ">(" + offset + ", " + value + ");");
    }

    private void Atomic(RegisterModel r)
    {
        string type = Semantics.TypeName(r.Width);
        string place = _expressions.Place(r);
        ulong legal = r.LegalBits();
        string bits = legal == Semantics.All(r.Width) ? "bits" : "bits & " + Literal(legal, r.Width);
        w.Line();
        w.Line("/// <summary>Sets bits from any thread; gives the value before.</summary>");
        w.Line("private " + type + " Raise" + r.Name.Text + "(" + type + " bits) => Interlocked.Or(ref " + place + ", " + bits + ");");
        w.Line();
        w.Line("/// <summary>Clears bits from any thread; gives the value before.</summary>");
        w.Line("private " + type + " Clear" + r.Name.Text + "(" + type + " bits) => Interlocked.And(ref " + place + ", ~bits);");
    }
}
