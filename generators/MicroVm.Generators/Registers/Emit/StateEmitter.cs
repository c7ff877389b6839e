using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>Where values live: the register struct, the banks, the page.</summary>
internal sealed class StateEmitter(BlockScope scope, CodeWriter w)
{
    public void Emit()
    {
        RegisterModel[] stored = [.. scope.Block.Flatten().Where(static r => r.StorageOf() == Storage.Field)];
        w.Directive("#pragma warning disable CS0649 // the other half of the class sets some of these, or none");
        if (stored.Length > 0)
        {
            w.Line("private Registers _r;");
            w.Line();
        }
        if (scope.HasPage)
        {
            w.Line("private ResidentPage _page = null!;");
            w.Line();
        }
        foreach (BankModel bank in scope.Block.Banks) Bank(bank);
        if (stored.Length > 0) Registers(stored);
        w.Directive("#pragma warning restore CS0649");
        w.Line();
    }

    private void Bank(BankModel bank)
    {
        string type = bank.Name.Text + "Bank";
        w.Line("/// <summary>State of each index that " + bank.Selector.Text + " can select.</summary>");
        w.Line("private " + type + "[] " + bank.Name.Text + " = [];");
        w.Line();
        w.Open("private struct " + type);
        foreach ((string field, RegisterModel register) in scope.BankFields(bank)) Member(register, field, array: false);
        w.Close();
        w.Line();
    }

    private void Registers(RegisterModel[] stored)
    {
        w.Open("private struct Registers");
        foreach (RegisterModel register in stored) Member(register, register.Name.Text, register.IsArray);
        w.Close();
    }

    private void Member(RegisterModel r, string name, bool array)
    {
        w.Summary(r.Doc);
        w.Line("internal " + Semantics.TypeName(r.Width) + (array ? "[]" : "") + " " + name + ";");
    }
}
