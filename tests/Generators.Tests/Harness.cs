using System.Collections.Immutable;
using MicroVm.Generators.Registers;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;

namespace MicroVm.Generators.Tests;

/// <summary>A definition file in memory.</summary>
internal sealed class DefinitionText(string path, string text) : AdditionalText
{
    public override string Path => path;

    public override SourceText GetText(CancellationToken cancellationToken = default) => SourceText.From(text);
}

/// <summary>Runs the generator as the compiler does.</summary>
internal static class Harness
{
    public static readonly CSharpParseOptions Parse = new(LanguageVersion.Preview, DocumentationMode.Diagnose);
    private static readonly MetadataReference[] References =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(static p => MetadataReference.CreateFromFile(p))];

    // What emitted code speaks, from the product's own sources.
    private static readonly string[] Runtime =
    [
        "vmm/MicroVm/Bus/BlockInfo.cs", "vmm/MicroVm/Bus/IRegisterBlock.cs", "vmm/MicroVm/Bus/IoStatus.cs", "vmm/MicroVm/Memory/ResidentPage.cs",
        "vmm/MicroVm/Snapshot/SnapshotStream.cs",
    ];

    private const string Usings = """
        global using global::System;
        global using global::System.Collections.Generic;
        global using global::System.Linq;
        global using global::System.Threading;
        """;

    public static AdditionalText Text(string path, string text) => new DefinitionText(path, text);

    public static CSharpCompilation Compilation(params string[] sources)
    {
        IEnumerable<SyntaxTree> trees = sources.Append(Usings).Concat(Runtime.Select(Repository.Text)).Select(static s => CSharpSyntaxTree.ParseText(s, Parse));
        var options = new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable)
            .WithSpecificDiagnosticOptions(new Dictionary<string, ReportDiagnostic> { ["CS1591"] = ReportDiagnostic.Suppress, ["CS1701"] = ReportDiagnostic.Suppress });
        return CSharpCompilation.Create("Sample", trees, References, options);
    }

    public static CSharpGeneratorDriver Driver(params AdditionalText[] files) => CSharpGeneratorDriver.Create(
        [new RegisterGenerator().AsSourceGenerator()], files, Parse, optionsProvider: null,
        new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true));

    public static GeneratorRunResult Run(params AdditionalText[] files) => Driver(files).RunGenerators(Compilation()).GetRunResult().Results[0];

    public static GeneratorRunResult Run(string text) => Run(Text("devices.def/test.def", text));

    /// <summary>Everything the compiler says about the sources together with what is generated for them.</summary>
    public static ImmutableArray<Diagnostic> Compile(AdditionalText[] files, params string[] sources)
    {
        Driver(files).RunGeneratorsAndUpdateCompilation(Compilation(sources), out Compilation result, out _);
        return [.. result.GetDiagnostics().Where(static d => d.Severity >= DiagnosticSeverity.Warning)];
    }

    public static string Source(this GeneratorRunResult result, string hint) => result.GeneratedSources.Single(s => s.HintName == hint).SourceText.ToString();
}
