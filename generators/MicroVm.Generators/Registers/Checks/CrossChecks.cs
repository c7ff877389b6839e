using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>The checks that need several files: names, places, interrupt lines, snapshot tags. They see summaries only.</summary>
internal static class CrossChecks
{
    public static EquatableArray<DiagnosticInfo> Run(EquatableArray<FileSummary> files, SnapshotLock? locked, CancellationToken cancel)
    {
        var found = new List<DiagnosticInfo>();
        var declared = new Dictionary<string, (DeclarationSummary Declaration, FileSummary File)>(StringComparer.Ordinal)
        {
            ["RegisterCatalog"] = (new DeclarationSummary("generated class", new Name("RegisterCatalog", default), 0, false, null), new FileSummary("", "the generator", default, default, default, default)),
        };
        foreach (FileSummary file in files)
        {
            var diagnostics = new DiagnosticBag(file.Path);
            foreach (DeclarationSummary d in file.Declarations) Declare(d, file, declared, diagnostics);
            found.AddRange(diagnostics.ToArray());
        }
        foreach (FileSummary file in files)
        {
            cancel.ThrowIfCancellationRequested();
            var diagnostics = new DiagnosticBag(file.Path);
            foreach (DeclarationSummary d in file.Declarations)
            {
                if (d.Shares is { } shared) Block(shared, declared, diagnostics);
            }
            foreach (MachineModel machine in file.Machines) MachineChecks.Run(machine, name => Block(name, declared, diagnostics), diagnostics);
            found.AddRange(diagnostics.ToArray());
        }
        SnapshotChecks.Run(files, locked, found);
        return new([.. found]);
    }

    private static void Declare(
        DeclarationSummary d, FileSummary file, Dictionary<string, (DeclarationSummary Declaration, FileSummary File)> declared, DiagnosticBag diagnostics)
    {
        if (!declared.TryGetValue(d.Name.Text, out var first))
        {
            declared.Add(d.Name.Text, (d, file));
            return;
        }
        string where = first.File.File + "(" + LayoutChecks.Number(first.Declaration.Name.Pos.Row) + ")";
        diagnostics.Add("MVG006", d.Name.Pos, d.Name.Text, "a " + d.Kind, "a " + first.Declaration.Kind + " in " + where);
    }

    private static DeclarationSummary? Block(Name name, Dictionary<string, (DeclarationSummary Declaration, FileSummary File)> declared, DiagnosticBag diagnostics)
    {
        if (declared.TryGetValue(name.Text, out var found) && found.Declaration.Kind == "block") return found.Declaration;
        IEnumerable<string> blocks = declared.Values.Where(static d => d.Declaration.Kind == "block").Select(static d => d.Declaration.Name.Text);
        diagnostics.Add("MVG007", name.Pos, "block", name.Text, Nearest.Advice(name.Text, blocks));
        return null;
    }
}
