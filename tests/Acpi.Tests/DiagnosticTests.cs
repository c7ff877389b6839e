using System.Globalization;
using MicroVm.Generators.Acpi;
using MicroVm.Generators.Common;

namespace Acpi.Tests;

/// <summary>Each diagnostic, at its line and column, with its whole text in a golden file.</summary>
public sealed class DiagnosticTests
{
    [Theory]
    [InlineData("MVG101", 3, 25)]
    [InlineData("MVG102", 6, 14)]
    [InlineData("MVG103", 2, 13)]
    [InlineData("MVG104", 4, 9)]
    [InlineData("MVG105", 5, 45)]
    [InlineData("MVG106", 4, 88)]
    [InlineData("MVG107", 4, 35)]
    [InlineData("MVG108", 6, 18)]
    [InlineData("MVG109", 6, 18)]
    [InlineData("MVG110", 2, 9)]
    [InlineData("MVG111", 7, 13)]
    [InlineData("MVG112", 2, 12)]
    [InlineData("MVG113", 2, 10)]
    [InlineData("MVG114", 4, 6)]
    public void DiagnosticStandsWhereTheMistakeIs(string id, int line, int column)
    {
        string file = File.Exists(Path.Combine(AppContext.BaseDirectory, "Goldens", id + ".asl")) ? id + ".asl" : id + ".table";
        string text = Golden.Input(file);
        EquatableArray<DiagnosticInfo> found = id == "MVG111" ? AcpiLintAnalyzer.Lint(file, text, Definitions.Layouts, default)
            : file.EndsWith(".table", StringComparison.Ordinal) ? TableParser.Parse(file, text, Definitions.Layouts, default).Diagnostics
            : Definitions.Compile(text, file).Diagnostics;
        Golden.Check(id + ".txt", string.Concat(found.Select(Line)));
        Assert.Contains(found, d => d.Id == id && d.Line + 1 == line && d.Column + 1 == column);
    }

    private static string Line(DiagnosticInfo info)
    {
        var diagnostic = info.Create(AcpiDiagnostics.Find(info.Id));
        return $"({info.Line + 1},{info.Column + 1}): {info.Id}: {diagnostic.GetMessage(CultureInfo.InvariantCulture)}\n";
    }

    [Fact]
    public void EveryDiagnosticHasItsPage()
    {
        for (int id = 101; id <= 114; id++)
        {
            string page = Path.Combine(AppContext.BaseDirectory, "docs", $"MVG{id}.md");
            Assert.True(File.Exists(page), page);
            Assert.StartsWith($"# MVG{id}: {AcpiDiagnostics.Find($"MVG{id}").Title.ToString(CultureInfo.InvariantCulture)}", File.ReadAllText(page), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void DefinitionsOfTheTreeHaveNone()
    {
        foreach (string file in Definitions.Files(".asl"))
        {
            Assert.Equal("", Definitions.Describe(Definitions.Compile(Definitions.Text(file), file)));
            Assert.Empty(AcpiLintAnalyzer.Lint(file, Definitions.Text(file), Definitions.Layouts, default));
        }
        foreach (string file in Definitions.Files(".table")) Assert.Empty(TableParser.Parse(file, Definitions.Text(file), Definitions.Layouts, default).Diagnostics);
    }
}
