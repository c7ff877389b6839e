using System.Globalization;
using System.Text;
using MicroVm.Bus;
using MicroVm.Devices;

namespace MicroVm.Conformance.Tests;

/// <summary>docs/registers: a page per block, made from the catalogue.</summary>
public sealed class RegisterPageTests
{
    public static TheoryData<string> Blocks => Subjects.All;

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Page_is_current(string name)
    {
        BlockInfo block = RegisterCatalog.All.Single(b => b.Name == name);
        Repository.Baseline("docs/registers/" + FileName(name), Page(block));
    }

    [Fact]
    public void No_page_is_left_over()
    {
        string[] pages = [.. Directory.GetFiles(Repository.Full("docs/registers"), "*.md").Select(static f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];
        Assert.Equal(RegisterCatalog.All.Select(static b => FileName(b.Name)).Order(StringComparer.Ordinal), pages);
    }

    private static string FileName(string block) =>
        string.Concat(block.Select(static (c, i) => (i > 0 && char.IsUpper(c) ? "-" : "") + char.ToLowerInvariant(c))) + ".md";

    private static string Page(BlockInfo block)
    {
        var text = new StringBuilder($"# {block.Name}\n\nGenerated from `{block.File}`; edit that file.\n\n{Hex(block.Size)} bytes. {Rule(block)}");
        if (block.SnapshotTag is not null) text.Append(CultureInfo.InvariantCulture, $" Saved as `{block.SnapshotTag}`, version {block.SnapshotVersion}.");
        text.Append("\n\n| offset | name | width | access | reset | write mask | what |\n|---|---|---|---|---|---|---|\n");
        foreach (RegisterInfo r in block.Registers) Row(text, r);
        RegisterInfo[] fielded = [.. block.Registers.Where(static r => r.Fields.Length > 0)];
        if (fielded.Length == 0) return text.ToString();
        text.Append("\n## Bit fields\n\n| register | bits | field |\n|---|---|---|\n");
        foreach (RegisterInfo r in fielded)
        {
            foreach (FieldInfo f in r.Fields)
            {
                string bits = f.Low == f.High ? $"{f.Low}" : $"{f.Low}-{f.High}";
                text.Append(CultureInfo.InvariantCulture, $"| {r.Name} | {bits} | {f.Name}{(f.ReadOnly ? " (read-only)" : "")} |\n");
            }
        }
        return text.ToString();
    }

    private static void Row(StringBuilder text, RegisterInfo r)
    {
        bool window = r.Has(RegisterTraits.Window);
        string place = r.IndexedBy is null ? Hex(r.Offset) : $"{r.IndexedBy} {Hex(r.Offset)}";
        if (r.HighHalf >= 0) place += $", {Hex((uint)r.HighHalf)}";
        string name = r.Count > 1 ? $"{r.Name}[{r.Count}], stride {r.Stride}" : r.Name;
        string width = window ? $"{Hex(r.Width)} bytes" : $"{8 * r.Width}";
        string access = window ? "window" : r.IsPair() ? "data register" : Word(r.Access);
        string reset = window || r.IsPair() || r.Has(RegisterTraits.Computed) ? "" : Hex(r.Reset);
        string mask = window || r.IsPair() || r.WriteMask == 0 || r.WriteMask == r.Ones() ? "" : Hex(r.WriteMask);
        text.Append(CultureInfo.InvariantCulture, $"| {place} | {name} | {width} | {access} | {reset} | {mask} | {r.Doc.Replace("|", "\\|", StringComparison.Ordinal)}{Notes(r)} |\n");
    }

    private static string Notes(RegisterInfo r)
    {
        var notes = new List<string>();
        if (r.Guard is not null) notes.Add($"when {r.Guard}");
        if (r.Has(RegisterTraits.Resident)) notes.Add("resident");
        if (r.Has(RegisterTraits.Doorbell)) notes.Add(r.Doorbell is { } match ? $"doorbell for {match}" : "doorbell");
        if (r.Has(RegisterTraits.Atomic)) notes.Add("atomic");
        if (r.Has(RegisterTraits.Banked)) notes.Add("per selected index");
        if (r.Has(RegisterTraits.ReadEffect)) notes.Add("reading has an effect");
        return notes.Count == 0 ? "" : " *(" + string.Join("; ", notes) + ")*";
    }

    private static string Rule(BlockInfo block)
    {
        string rule = block.Rule switch
        {
            AccessRule.Exact when block.ExactBelow < block.Size => $"Accesses of {block.ExactWidth} bytes below {Hex(block.ExactBelow)}",
            AccessRule.Exact => $"Accesses of {block.ExactWidth} {(block.ExactWidth == 1 ? "byte" : "bytes")} only",
            AccessRule.Natural => "Each register by its own width",
            _ => "Accesses of any width at any offset",
        };
        return rule + (block.ZeroOnBadWidth ? "; any other reads 0 and writes nothing." : ".");
    }

    private static string Word(RegisterAccess access) => access switch
    {
        RegisterAccess.ReadOnly => "ro", RegisterAccess.ReadWrite => "rw", RegisterAccess.WriteOnly => "wo", RegisterAccess.WriteOneToClear => "w1c", _ => "rc",
    };

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");
}
