using MicroVm.Generators.Common;
using System.Globalization;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The declaration as data, for tests, traces and documentation. In a class of its own, so that it is made when it is first asked for.</summary>
internal static class CatalogEmitter
{
    public static void Emit(CodeWriter w, BlockModel block)
    {
        w.Line();
        w.Line("/// <summary>The declaration that this class came from.</summary>");
        w.Line("public static BlockInfo Catalog => Lazily.Catalog;");
        w.Line();
        w.Open("private static class Lazily");
        AccessLine rule = block.Access;
        w.Line("internal static readonly BlockInfo Catalog = new(");
        w.Indent();
        w.Line(Quote(block.Name.Text) + ", " + Quote(block.File) + ", " + Hex((ulong)block.Size) + ", AccessRule." + rule.Rule + ", " + Number(rule.Width)
            + ", " + Hex((ulong)rule.Below) + ", " + Bool(rule.ZeroOnBadWidth) + ", " + Quote(block.Snapshot?.Tag) + ", " + Number(block.Snapshot?.Version ?? 0) + ",");
        w.Line("[");
        w.Indent();
        foreach (RegisterModel register in block.Registers)
        {
            Register(w, register, null);
            foreach (RegisterModel row in register.Rows) Register(w, row, register.Name.Text);
        }
        w.Outdent();
        w.Line("]);");
        w.Outdent();
        w.Close();
    }

    private static void Register(CodeWriter w, RegisterModel r, string? pair)
    {
        string[] fields = [.. r.Fields.Where(static f => f.Value is null).Select(static f =>
            "new(" + Quote(f.Name.Text) + ", " + Number(f.Low) + ", " + Number(f.High) + ", " + Bool(f.ReadOnly) + ")")];
        string guard = r.Guard.Count == 0 ? "null" : Quote(string.Join(" and ", r.Guard.Select(static t => (t.Not ? "not " : "") + t.Field.Text)));
        string[] values =
        [
            Quote(r.Name.Text), Hex((ulong)r.Offset), Hex((ulong)(r.IsWindow ? r.Window : r.Width)), "RegisterAccess." + r.Access, Traits(r, pair), Hex(r.Reset),
            Hex(r.IsWindow || r.IsPair ? Semantics.All(r.IsWindow ? 8 : r.Width) : r.WriteMask()),
            r.Halves ? Number(r.HighOffset) : "-1", Number(Math.Max(r.Count, 1)), Number(r.Stride), Quote(pair), guard,
            r.DoorbellMatch is { } match ? Hex(match) : "null", Number(r.Row), Quote(r.Doc), "[" + string.Join(", ", fields) + "]",
        ];
        w.Line("new(" + string.Join(", ", values) + "),");
    }

    private static string Traits(RegisterModel r, string? pair)
    {
        var traits = new List<string>();
        void Has(bool condition, string name)
        {
            if (condition) traits.Add("RegisterTraits." + name);
        }
        Has(r.Resident, "Resident");
        Has(r.Atomic, "Atomic");
        Has(r.Doorbell, "Doorbell");
        Has(r.Guard.Count > 0, "Guarded");
        Has(r.Then is not null || r.Via is not null || r.IsWindow, "HasHook");
        Has(r.Secret, "Secret");
        Has(r.StorageOf() == Storage.Constant, "Constant");
        Has(r.IsWindow, "Window");
        Has(r.IsPair || pair is not null, "Indexed");
        Has(r.StorageOf() == Storage.Bank, "Banked");
        Has(r.IsComputed(), "Computed");
        Has(r.ReadHasEffect(), "ReadEffect");
        return traits.Count == 0 ? "RegisterTraits.None" : string.Join(" | ", traits);
    }

    private static string Bool(bool value) => value.ToString(CultureInfo.InvariantCulture).ToLowerInvariant();
}
