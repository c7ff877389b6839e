using Microsoft.CodeAnalysis;
using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Checks;
using MicroVm.Generators.Registers.Emit;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Parse;

namespace MicroVm.Generators.Registers;

/// <summary>Turns <c>devices.def/*.def</c> into register blocks, structures, the machine's map and the catalogue.</summary>
[Generator]
public sealed class RegisterGenerator : IIncrementalGenerator
{
    /// <summary>Names of the steps, for tests of what runs again after an edit.</summary>
    internal static class Steps
    {
        public const string Parse = "Registers.Parse";
        public const string Model = "Registers.Model";
        public const string Summaries = "Registers.Summaries";
        public const string Crossed = "Registers.Crossed";
        public const string Together = "Registers.Together";
    }

    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValueProvider<string> root = context.AnalyzerConfigOptionsProvider.Select(static (options, _) =>
            options.GlobalOptions.TryGetValue("build_property.RepositoryRoot", out string? value) ? value : "");

        IncrementalValuesProvider<ParsedFile> parsed = context.AdditionalTextsProvider
            .Where(static f => f.Path.EndsWith(".def", StringComparison.Ordinal))
            .Combine(root)
            .Select(static (pair, cancel) => DefinitionParser.Parse(
                pair.Left.Path, RelativePath(pair.Left.Path, pair.Right), pair.Left.GetText(cancel)?.ToString() ?? "", cancel))
            .WithTrackingName(Steps.Parse);

        context.RegisterSourceOutput(parsed.Select(static (p, _) => p.Model).WithTrackingName(Steps.Model), static (output, model) =>
        {
            if (FileEmitter.Emit(model) is { } text) output.AddSource(FileEmitter.HintName(model.File), text);
        });
        context.RegisterSourceOutput(parsed.SelectMany(static (p, _) => p.Diagnostics), static (output, d) => output.ReportDiagnostic(d.Create(Descriptors.Get(d.Id))));

        IncrementalValueProvider<EquatableArray<FileSummary>> summaries = parsed.Select(static (p, _) => p.Summary).Collect()
            .Select(static (all, _) => all.OrderBy(static s => s.File, StringComparer.Ordinal).ToEquatable())
            .WithTrackingName(Steps.Summaries);
        IncrementalValueProvider<SnapshotLock?> locked = context.AdditionalTextsProvider
            .Where(static f => Path.GetFileName(f.Path) == "snapshot.lock")
            .Select(static (f, cancel) => LockFile.Parse(f.Path, f.GetText(cancel)?.ToString() ?? "", cancel))
            .Collect().Select(static (all, _) => all.FirstOrDefault());
        var crossed = summaries.Combine(locked)
            .SelectMany(static (pair, cancel) => CrossChecks.Run(pair.Left, pair.Right, cancel))
            .WithTrackingName(Steps.Crossed);
        context.RegisterSourceOutput(crossed, static (output, d) => output.ReportDiagnostic(d.Create(Descriptors.Get(d.Id))));
        context.RegisterSourceOutput(summaries.Select(static (all, _) => Together.Of(all)).WithTrackingName(Steps.Together), static (output, all) => EmitTogether(output, all));
    }

    private static void EmitTogether(SourceProductionContext output, Together all)
    {
        var sizes = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (BlockSize block in all.Blocks) sizes[block.Name] = block.Size;
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (PlacedMachine m in all.Machines)
        {
            if (names.Add(m.Machine.Name.Text)) output.AddSource("Registers.Map." + m.Machine.Name.Text + ".g.cs", FileEmitter.Machine(m.Machine, m.File, sizes));
        }
        if (sizes.Count > 0) output.AddSource("Registers.RegisterCatalog.g.cs", FileEmitter.Catalog(sizes.Keys));
        if (all.Devices.Count > 0) output.AddSource("Registers.VirtioCatalog.g.cs", FileEmitter.Devices(all.Devices));
    }

    /// <summary>The path below the repository, with forward slashes, so that the output is the same on every machine.</summary>
    internal static string RelativePath(string path, string root)
    {
        string file = Collapse(path.Replace('\\', '/'));
        string prefix = Collapse(root.Replace('\\', '/')).TrimEnd('/') + "/";
        if (prefix.Length > 1 && file.StartsWith(prefix, StringComparison.Ordinal)) return file.Substring(prefix.Length);
        int known = file.LastIndexOf("devices.def/", StringComparison.Ordinal);
        return known >= 0 ? file.Substring(known) : file.Substring(file.LastIndexOf('/') + 1);
    }

    /// <summary>Projects name definition files as <c>../../devices.def/x.def</c>; the way there is no part of the name.</summary>
    private static string Collapse(string path)
    {
        var parts = new List<string>();
        foreach (string part in path.Split('/'))
        {
            if (part == ".." && parts.Count > 0 && parts[parts.Count - 1] is not ("" or "..")) parts.RemoveAt(parts.Count - 1);
            else if (part != ".") parts.Add(part);
        }
        return string.Join("/", parts);
    }
}
