using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

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
}
