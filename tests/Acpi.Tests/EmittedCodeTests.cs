using MicroVm.Generators.Acpi;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Acpi.Tests;

/// <summary>The C# that comes out: as last time, without warnings, the same bytes for the same text.</summary>
public sealed class EmittedCodeTests
{
    private static readonly GeneratorDriverRunResult Result = GeneratorHost.Driver(GeneratorHost.Tree()).RunGenerators(GeneratorHost.Compilation()).GetRunResult();

    public static TheoryData<string> Sources => [.. Result.Results[0].GeneratedSources.Select(static s => s.HintName).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Sources))]
    public void CodeIsThatOfTheGoldenFile(string name) =>
        Golden.Check(name + ".txt", Result.Results[0].GeneratedSources.First(s => s.HintName == name).SourceText.ToString());

    [Fact]
    public void CodeCompilesWithoutWarning()
    {
        CSharpCompilation compilation = GeneratorHost.Compilation().AddSyntaxTrees(Result.GeneratedTrees);
        Assert.Empty(compilation.GetDiagnostics().Where(static d => d.Severity >= DiagnosticSeverity.Warning));
        Assert.Empty(Result.Diagnostics);
    }

    [Fact]
    public void SameTextGivesTheSameCode()
    {
        GeneratorDriverRunResult again = GeneratorHost.Driver(GeneratorHost.Tree()).RunGenerators(GeneratorHost.Compilation()).GetRunResult();
        Assert.Equal(Result.GeneratedTrees.Select(static t => t.ToString()), again.GeneratedTrees.Select(static t => t.ToString()));
        Assert.All(Result.GeneratedTrees, static t => Assert.DoesNotContain('\r', t.ToString()));
    }

    [Fact]
    public void AnErrorIsReportedAtTheLineOfTheDefinition()
    {
        var file = new TextFile("/t/acpi.def/bad.asl", "fragment\nDevice (\\_SB.TOOLONG) { }\n");
        Diagnostic found = Assert.Single(GeneratorHost.Driver(file).RunGenerators(GeneratorHost.Compilation()).GetRunResult().Diagnostics);
        FileLinePositionSpan span = found.Location.GetLineSpan();
        Assert.Equal(("MVG101", "/t/acpi.def/bad.asl", 1, 8), (found.Id, span.Path, span.StartLinePosition.Line, span.StartLinePosition.Character));
    }

    /// <summary>The lint comes from the analyzer alone: it can be switched off, and the generator's errors cannot.</summary>
    [Fact]
    public async Task ALintIsReportedByTheAnalyzer()
    {
        AdditionalText[] files = [.. GeneratorHost.Tree(), new TextFile("/t/acpi.def/twice.asl", Golden.Input("MVG111.asl"))];
        Assert.Empty(GeneratorHost.Driver(files).RunGenerators(GeneratorHost.Compilation()).GetRunResult().Diagnostics);
        var analyzed = GeneratorHost.Compilation("class Any;").WithAnalyzers([new AcpiLintAnalyzer()], new AnalyzerOptions([.. files]));
        Diagnostic found = Assert.Single(await analyzed.GetAnalyzerDiagnosticsAsync());
        Assert.Equal(("MVG111", DiagnosticSeverity.Warning, 6), (found.Id, found.Severity, found.Location.GetLineSpan().StartLinePosition.Line));
    }

    [Theory]
    [InlineData(0, "01"), InlineData(0x3E, "3F"), InlineData(0x3F, "4104"), InlineData(0xFFD, "4FFF"), InlineData(0xFFE, "810001"), InlineData(0xF_FFFC, "8FFFFF"), InlineData(0xF_FFFD, "C1000001")]
    public void PackageLengthCountsItself(int content, string bytes)
    {
        var writer = new AmlWriter();
        writer.PackageLength(content, countsItself: true);
        Assert.Equal(bytes, Convert.ToHexString(writer.ToArray()));
    }
}
