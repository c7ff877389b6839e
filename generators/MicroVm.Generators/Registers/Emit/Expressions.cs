using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The C# expressions for a register's value and for guards.</summary>
internal sealed class Expressions(BlockScope scope)
{
    public const string Index = "index";

    /// <summary>Where a stored register stands; inside a bank, the selected element, whose index must have been checked.</summary>
    public string Place(RegisterModel r) => r.StorageOf() switch
    {
        Storage.Page => "_page.Atomic32(" + Hex((ulong)r.Offset) + ")",
        Storage.Bank => BankPlace(r.Into ?? r.From!),
        _ => "_r." + r.Name.Text + (r.IsArray ? "[" + Index + "]" : ""),
    };

    /// <summary>The value that reading gives, without an effect: of <c>from</c> the hook, of the rest the store. Null where there is none.</summary>
    public string? Value(RegisterModel r)
    {
        if (r.From is { Owner: null } hook) return Call(hook.Member, r);
        return r.Take is not null ? null : Stored(r);
    }

    /// <summary>The stored value, null where the register has none.</summary>
    public string? Stored(RegisterModel r)
    {
        switch (r.StorageOf())
        {
            case Storage.Constant: return Literal(r.Reset, r.Width);
            case Storage.Page: return "Volatile.Read(ref " + Place(r) + ")";
            case Storage.Field: return r.Atomic ? "Volatile.Read(ref " + Place(r) + ")" : Place(r);
            case Storage.Bank:
                string whole = "(" + InBank(r) + " ? " + Place(r) + " : " + Literal(0, r.Width) + ")";
                return r.Width < 4 ? "(" + Semantics.TypeName(r.Width) + ")" + whole : whole;
            default: return null;
        }
    }

    public static string Call(Name hook, RegisterModel r, params string[] arguments)
    {
        IEnumerable<string> all = r.IsArray ? [Index, .. arguments] : arguments;
        return hook.Text + "(" + string.Join(", ", all) + ")";
    }

    /// <summary>The selector names an element of the register's bank.</summary>
    public string InBank(RegisterModel r, bool negated = false)
    {
        BankModel? bank = scope.Bank((r.Into ?? r.From)!.Owner!.Text);
        return bank is null ? "false" : "_r." + bank.Selector.Text + (negated ? " >= (uint)" : " < (uint)") + bank.Name.Text + ".Length";
    }

    /// <summary>The guard as a condition, null where the register has none.</summary>
    public string? Guard(RegisterModel r)
    {
        if (r.Guard.Count == 0) return null;
        var parts = new List<string>();
        foreach (IGrouping<RegisterModel, (RegisterModel Register, FieldModel Field, bool Not)> group in Terms(r).GroupBy(static t => t.Register))
        {
            string[] all = [.. group.Select(t => Bit(t.Register, t.Field)).Distinct()];
            string[] set = [.. group.Where(static t => !t.Not).Select(t => Bit(t.Register, t.Field)).Distinct()];
            string value = Value(group.Key) ?? "0";
            parts.Add("(" + value + " & " + Either(all) + ") == " + (set.Length == 0 ? "0" : Either(set)));
        }
        return parts.Count == 0 ? null : string.Join(" && ", parts);
    }

    /// <summary>The opposite of a guard.</summary>
    public static string Not(string guard) => guard.Contains("&&") ? "!(" + guard + ")" : guard.Replace(" == ", " != ");

    private IEnumerable<(RegisterModel Register, FieldModel Field, bool Not)> Terms(RegisterModel r)
    {
        foreach (GuardTerm term in r.Guard)
        {
            foreach ((RegisterModel register, FieldModel field) in scope.Fields(term.Field).Take(1)) yield return (register, field, term.Not);
        }
    }

    private static string Either(string[] bits) => bits.Length == 1 ? bits[0] : "(" + string.Join(" | ", bits) + ")";

    private static string Bit(RegisterModel r, FieldModel f) => "Bits." + r.Name.Text + f.Name.Text;

    private string BankPlace(DottedName path)
    {
        string selector = scope.Bank(path.Owner!.Text)?.Selector.Text ?? "";
        return path.Owner.Text + "[_r." + selector + "]." + path.Member.Text;
    }
}
