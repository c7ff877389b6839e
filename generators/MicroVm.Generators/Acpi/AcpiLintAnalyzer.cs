using System.Collections.Immutable;
using MicroVm.Generators.Common;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace MicroVm.Generators.Acpi;

/// <summary>Lints of <c>.asl</c> files. Errors come from the generator, so that they cannot be switched off; a lint can be.</summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class AcpiLintAnalyzer : DiagnosticAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [AcpiDiagnostics.ReadTwice];

    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterAdditionalFileAction(static c =>
        {
            if (!c.AdditionalFile.Path.EndsWith(".asl", StringComparison.Ordinal)) return;
            CancellationToken cancel = c.CancellationToken;
            RegisterLayouts layouts = RegisterLayouts.Merge(c.Options.AdditionalFiles
                .Where(static f => f.Path.EndsWith(".def", StringComparison.Ordinal))
                .Select(f => RegisterLayoutReader.Read(f.GetText(cancel)?.ToString() ?? "", cancel)));
            foreach (DiagnosticInfo found in Lint(c.AdditionalFile.Path, c.AdditionalFile.GetText(cancel)?.ToString() ?? "", layouts, cancel))
                c.ReportDiagnostic(found.Create(AcpiDiagnostics.ReadTwice));
        });
    }

    internal static EquatableArray<DiagnosticInfo> Lint(string path, string text, RegisterLayouts layouts, CancellationToken cancel)
    {
        AslFile file = AslParser.Parse(text, new DiagnosticBag(path), cancel);
        var bag = new DiagnosticBag(path);
        ReadTwice.Run(file, layouts, bag, cancel);
        return bag.ToArray();
    }
}
