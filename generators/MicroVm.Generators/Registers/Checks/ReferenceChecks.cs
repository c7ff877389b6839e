using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG007 and 009, and MVG016 for what a name leads to: selectors, banks, w1c targets.</summary>
internal static class ReferenceChecks
{
    public static void Run(BlockScope scope, DiagnosticBag diagnostics)
    {
        foreach (BankModel bank in scope.Block.Banks) Selector(scope, bank.Selector, "bank " + bank.Name.Text, diagnostics);
        var widths = new Dictionary<string, RegisterModel>(StringComparer.Ordinal);
        foreach (RegisterModel r in scope.Block.Flatten())
        {
            if (r.IndexedBy is { } selector) Selector(scope, selector, "indexed by", diagnostics);
            if (r.Target is { } target) Target(scope, r, target, diagnostics);
            if (r.Into is { } into) BankField(scope, r, into, widths, diagnostics);
            if (r.FromBank()) BankField(scope, r, r.From!, widths, diagnostics);
        }
    }

    private static void Selector(BlockScope scope, Name name, string word, DiagnosticBag diagnostics)
    {
        RegisterModel? selector = scope.Register(name.Text);
        if (selector is null) diagnostics.Add("MVG007", name.Pos, "register", name.Text, Nearest.Advice(name.Text, scope.RegisterNames));
        else if (selector.StorageOf() != Storage.Field || selector.IsArray || selector.Atomic || selector.Width > 4)
        {
            diagnostics.Add("MVG016", name.Pos, word, name.Text, "a selector is a plain register of at most 32 bits that keeps what is written to it; make '" + name.Text + "' such a one");
        }
    }

    private static void Target(BlockScope scope, RegisterModel r, DottedName target, DiagnosticBag diagnostics)
    {
        Name name = target.Owner ?? target.Member;
        RegisterModel? cleared = scope.Register(name.Text);
        if (cleared is null)
        {
            diagnostics.Add("MVG007", name.Pos, "register", name.Text, Nearest.Advice(name.Text, scope.RegisterNames));
            return;
        }
        if (target.Owner is not null && scope.Fields(target).Count == 0)
        {
            IEnumerable<string> fields = cleared.Fields.Where(static f => f.Value is null).Select(static f => f.Name.Text);
            diagnostics.Add("MVG007", target.Member.Pos, "field of '" + name.Text + "'", target.Member.Text, Nearest.Advice(target.Member.Text, fields));
        }
        if (!cleared.Atomic) diagnostics.Add("MVG009", target.Pos, r.Name.Text, name.Text);
        else if (cleared.Width != r.Width)
        {
            diagnostics.Add("MVG016", target.Pos, "w1c " + target.Text, r.Name.Text, "the two have different widths; make both u" + LayoutChecks.Number(8 * cleared.Width));
        }
    }

    private static void BankField(BlockScope scope, RegisterModel r, DottedName path, Dictionary<string, RegisterModel> widths, DiagnosticBag diagnostics)
    {
        Name bank = path.Owner!;
        if (scope.Bank(bank.Text) is null)
        {
            diagnostics.Add("MVG007", bank.Pos, "bank", bank.Text, Nearest.Advice(bank.Text, scope.BankNames));
            return;
        }
        if (path.Member.Text == bank.Text + "Bank") diagnostics.Add("MVG006", path.Member.Pos, path.Member.Text, "a bank's field", "the type of the bank's elements");
        if (!widths.TryGetValue(path.Text, out RegisterModel? first)) widths.Add(path.Text, r);
        else if (first.Width != r.Width)
        {
            diagnostics.Add("MVG016", path.Pos, path.Text, r.Name.Text, "'" + first.Name.Text + "' gives that field another width; give both registers one width");
        }
    }
}
