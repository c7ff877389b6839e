using MicroVm.Generators.Acpi;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

namespace Acpi.Tests;

/// <summary>A text that stands in the compiler's input beside the C#.</summary>
internal sealed class TextFile(string path, string text) : AdditionalText
{
    public override string Path => path;

    public override SourceText GetText(CancellationToken cancellationToken = default) => SourceText.From(text);
}

/// <summary>Runs the generator as the compiler does.</summary>
internal static class GeneratorHost
{
    private static readonly MetadataReference[] References =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Where(static p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal)).Select(static p => MetadataReference.CreateFromFile(p))];

    public static CSharpCompilation Compilation(string source = "") => CSharpCompilation.Create(
        "Generated", [CSharpSyntaxTree.ParseText(source)], References, new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable, warningLevel: 9999));

    public static GeneratorDriver Driver(params AdditionalText[] files) => CSharpGeneratorDriver.Create(
        [new AcpiGenerator().AsSourceGenerator()], files, driverOptions: new GeneratorDriverOptions(default, trackIncrementalGeneratorSteps: true));

    /// <summary>The definitions of the tree.</summary>
    public static AdditionalText[] Tree() =>
    [
        .. Definitions.Files(".asl").Concat(Definitions.Files(".table")).Select(static f => new TextFile("/tree/acpi.def/" + f, Definitions.Text(f))),
        .. Directory.GetFiles(Path.Combine(Definitions.Folder, "devices.def")).Order(StringComparer.Ordinal).Select(static f => new TextFile("/tree/devices.def/" + Path.GetFileName(f), File.ReadAllText(f))),
    ];

    /// <summary>How each output of a step came about in the last run.</summary>
    public static IncrementalStepRunReason[] Reasons(GeneratorDriver driver, string step) =>
    [
        .. driver.GetRunResult().Results[0].TrackedSteps.TryGetValue(step, out var runs) ? runs.SelectMany(static r => r.Outputs).Select(static o => o.Reason) : [],
    ];
}
