using Microsoft.CodeAnalysis;
using MicroVm.Generators.Common;
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
        context.RegisterSourceOutput(summaries, static (output, all) => EmitTogether(output, all));
    }

    private static void EmitTogether(SourceProductionContext output, EquatableArray<FileSummary> files)
    {
        var sizes = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (DeclarationSummary d in files.SelectMany(static f => f.Declarations).Where(static d => d.Kind == "block")) sizes[d.Name.Text] = d.Size;
        foreach (FileSummary file in files)
        {
            foreach (MachineModel machine in file.Machines) output.AddSource("Registers.Map." + machine.Name.Text + ".g.cs", FileEmitter.Machine(machine, file.File, sizes));
        }
        if (sizes.Count > 0) output.AddSource("Registers.RegisterCatalog.g.cs", FileEmitter.Catalog(sizes.Keys));
    }

    /// <summary>The path below the repository, with forward slashes, so that the output is the same on every machine.</summary>
    internal static string RelativePath(string path, string root)
    {
        string file = path.Replace('\\', '/');
        string prefix = root.Replace('\\', '/').TrimEnd('/') + "/";
        if (prefix.Length > 1 && file.StartsWith(prefix, StringComparison.Ordinal)) return file.Substring(prefix.Length);
        int known = file.LastIndexOf("devices.def/", StringComparison.Ordinal);
        return known >= 0 ? file.Substring(known) : file.Substring(file.LastIndexOf('/') + 1);
    }
}
