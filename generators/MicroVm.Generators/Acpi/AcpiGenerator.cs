using System.Text;
using MicroVm.Generators.Common;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace MicroVm.Generators.Acpi;

/// <summary>Compiles <c>acpi.def/*.asl</c> and <c>acpi.def/*.table</c>, with what they take from <c>devices.def/*.def</c>.</summary>
[Generator(LanguageNames.CSharp)]
public sealed class AcpiGenerator : IIncrementalGenerator
{
    /// <summary>Names of the steps, for tests of what is cached.</summary>
    public static class Steps
    {
        public const string Registers = "AcpiRegisters", Layouts = "AcpiLayouts", Compile = "AcpiCompile", Model = "AcpiModel", Table = "AcpiTable", TableModel = "AcpiTableModel", Catalog = "AcpiCatalog";
    }

    private static readonly Encoding Utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        context.RegisterPostInitializationOutput(static c => c.AddSource("AcpiBytes.g.cs", SourceText.From(Emitter.Support.Replace("\r\n", "\n"), Utf8)));

        IncrementalValueProvider<RegisterLayouts> layouts = Files(context, ".def")
            .Select(static (f, cancel) => RegisterLayoutReader.Read(Read(f, cancel), cancel)).WithTrackingName(Steps.Registers)
            .Collect()
            .Select(static (all, _) => RegisterLayouts.Merge(all)).WithTrackingName(Steps.Layouts);

        IncrementalValuesProvider<AslResult> compiled = Files(context, ".asl").Combine(layouts)
            .Select(static (x, cancel) => AslCompiler.Compile(x.Left.Path, Read(x.Left, cancel), x.Right, cancel)).WithTrackingName(Steps.Compile);
        context.RegisterSourceOutput(
            compiled.Select(static (r, _) => r.Model).WithTrackingName(Steps.Model),
            static (c, model) => c.AddSource($"{model.ClassName}.g.cs", SourceText.From(Emitter.Emit(model), Utf8)));
        Report(context, compiled.SelectMany(static (r, _) => r.Diagnostics));

        IncrementalValuesProvider<TableResult> tables = Files(context, ".table").Combine(layouts)
            .Select(static (x, cancel) => TableParser.Parse(x.Left.Path, Read(x.Left, cancel), x.Right, cancel)).WithTrackingName(Steps.Table);
        context.RegisterSourceOutput(
            tables.Select(static (r, _) => r.Model).WithTrackingName(Steps.TableModel),
            static (c, model) => c.AddSource($"{AslCompiler.ClassName(model.File)}Table.g.cs", SourceText.From(TableEmitter.Emit(model), Utf8)));
        Report(context, tables.SelectMany(static (r, _) => r.Diagnostics));

        // Names alone: an edit inside a file does not make the list anew.
        IncrementalValueProvider<EquatableArray<string>> units = compiled.SelectMany(static (r, _) => CatalogEmitter.Sources(r.Model)).Collect().Select(static (all, _) => CatalogEmitter.Sorted(all));
        IncrementalValueProvider<EquatableArray<string>> fixedTables = tables.SelectMany(static (r, _) => CatalogEmitter.Sources(r.Model)).Collect().Select(static (all, _) => CatalogEmitter.Sorted(all));
        context.RegisterSourceOutput(units.Combine(fixedTables).WithTrackingName(Steps.Catalog), static (c, x) =>
        {
            if (x.Left.Count + x.Right.Count > 0) c.AddSource("AcpiCatalog.g.cs", SourceText.From(CatalogEmitter.Emit(x.Left, x.Right), Utf8));
        });
    }

    private static IncrementalValuesProvider<AdditionalText> Files(IncrementalGeneratorInitializationContext context, string extension) =>
        context.AdditionalTextsProvider.Where(f => f.Path.EndsWith(extension, StringComparison.Ordinal));

    private static string Read(AdditionalText file, CancellationToken cancel) => file.GetText(cancel)?.ToString() ?? "";

    private static void Report(IncrementalGeneratorInitializationContext context, IncrementalValuesProvider<DiagnosticInfo> diagnostics) =>
        context.RegisterSourceOutput(diagnostics, static (c, d) => c.ReportDiagnostic(d.Create(AcpiDiagnostics.Find(d.Id))));
}
