using MicroVm.Generators.Registers;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace MicroVm.Generators.Tests;

/// <summary>What runs again after an edit, and what does not.</summary>
public sealed class IncrementalTests
{
    private const string One = "# One\nblock One size 4 snapshot \"one\" 1\n  access 4\n  0x0 Alpha u32 rw # a\n";
    private const string Two = "# Two\nblock Two size 4 snapshot \"two\" 1\n  access 4\n  0x0 Beta u32 rw # b\n";

    private readonly AdditionalText _one = Harness.Text("devices.def/one.def", One);
    private readonly AdditionalText _two = Harness.Text("devices.def/two.def", Two);
    private readonly CSharpCompilation _compilation = Harness.Compilation();

    [Fact]
    public void Unrelated_edit_runs_nothing()
    {
        GeneratorDriver driver = Harness.Driver(_one, _two).RunGenerators(_compilation);
        GeneratorRunResult result = Again(driver, _compilation.AddSyntaxTrees(CSharpSyntaxTree.ParseText("class C;", Harness.Parse)));
        Assert.All(Reasons(result, RegisterGenerator.Steps.Parse), static r => Assert.Equal(IncrementalStepRunReason.Cached, r));
        AssertOutputs(result, IncrementalStepRunReason.Cached);
    }

    [Fact]
    public void Same_text_in_a_new_file_object_changes_nothing()
    {
        GeneratorDriver driver = Harness.Driver(_one, _two).RunGenerators(_compilation);
        GeneratorRunResult result = Again(driver.ReplaceAdditionalText(_one, Harness.Text("devices.def/one.def", One)), _compilation);
        Assert.Contains(IncrementalStepRunReason.Unchanged, Reasons(result, RegisterGenerator.Steps.Parse));
        AssertOutputs(result, IncrementalStepRunReason.Cached, IncrementalStepRunReason.Unchanged);
    }

    [Fact]
    public void Edited_block_re_emits_only_itself()
    {
        GeneratorDriver driver = Harness.Driver(_one, _two).RunGenerators(_compilation);
        string edited = One.Replace("# a", "# another", StringComparison.Ordinal).Replace("# One", "# One\n", StringComparison.Ordinal);
        GeneratorRunResult result = Again(driver.ReplaceAdditionalText(_one, Harness.Text("devices.def/one.def", edited)), _compilation);
        Assert.Equal(1, Reasons(result, RegisterGenerator.Steps.Model).Count(static r => r == IncrementalStepRunReason.Modified));
        Assert.Equal(1, Reasons(result, RegisterGenerator.Steps.Model).Count(static r => r == IncrementalStepRunReason.Cached));
        // The list of blocks and the maps see names and sizes only.
        Assert.All(Reasons(result, RegisterGenerator.Steps.Together), static r => Assert.Equal(IncrementalStepRunReason.Unchanged, r));
        Assert.Equal(1, Outputs(result).Count(static r => r == IncrementalStepRunReason.Modified));
        Assert.Contains("another", result.Source("Registers.one.def.g.cs"), StringComparison.Ordinal);
    }

    [Fact]
    public void Added_file_leaves_the_others_alone()
    {
        GeneratorDriver driver = Harness.Driver(_one).RunGenerators(_compilation);
        GeneratorRunResult result = Again(driver.AddAdditionalTexts([_two]), _compilation);
        Assert.Equal([IncrementalStepRunReason.New, IncrementalStepRunReason.Cached], Reasons(result, RegisterGenerator.Steps.Model).Order());
        Assert.Contains("One.Catalog, Two.Catalog", result.Source("Registers.RegisterCatalog.g.cs"), StringComparison.Ordinal);
    }

    [Fact]
    public void Removed_file_takes_its_output_along()
    {
        GeneratorDriver driver = Harness.Driver(_one, _two).RunGenerators(_compilation);
        GeneratorRunResult result = Again(driver.RemoveAdditionalTexts([_two]), _compilation);
        Assert.Equal(["Registers.RegisterCatalog.g.cs", "Registers.one.def.g.cs"], result.GeneratedSources.Select(static s => s.HintName).Order(StringComparer.Ordinal));
        Assert.Contains(IncrementalStepRunReason.Removed, Reasons(result, RegisterGenerator.Steps.Model));
        Assert.DoesNotContain("Two", result.Source("Registers.RegisterCatalog.g.cs"), StringComparison.Ordinal);
    }

    [Fact]
    public void Models_hold_nothing_that_keeps_a_compilation_alive()
    {
        GeneratorRunResult result = Harness.Run(_one, _two);
        foreach (string step in new[] { RegisterGenerator.Steps.Parse, RegisterGenerator.Steps.Model, RegisterGenerator.Steps.Summaries, RegisterGenerator.Steps.Together })
        {
            foreach ((object value, _) in result.TrackedSteps[step].SelectMany(static s => s.Outputs)) Assert.True(value.Equals(value));
            Assert.All(result.TrackedSteps[step].SelectMany(static s => s.Outputs), static o => Walk(o.Value, []));
        }
    }

    private static void Walk(object? value, HashSet<object> seen)
    {
        if (value is null || value is string || value.GetType().IsPrimitive || value.GetType().IsEnum || !seen.Add(value)) return;
        Assert.False(value is ISymbol or Compilation or SyntaxNode or Location or AdditionalText or Microsoft.CodeAnalysis.Text.SourceText, value.GetType().Name);
        if (value is System.Collections.IEnumerable items)
        {
            foreach (object? item in items) Walk(item, seen);
            return;
        }
        const System.Reflection.BindingFlags Fields = System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Public;
        foreach (System.Reflection.FieldInfo field in value.GetType().GetFields(Fields)) Walk(field.GetValue(value), seen);
    }

    private static GeneratorRunResult Again(GeneratorDriver driver, Compilation compilation) => driver.RunGenerators(compilation).GetRunResult().Results[0];

    private static IEnumerable<IncrementalStepRunReason> Reasons(GeneratorRunResult result, string step) =>
        result.TrackedSteps[step].SelectMany(static s => s.Outputs).Select(static o => o.Reason);

    private static IEnumerable<IncrementalStepRunReason> Outputs(GeneratorRunResult result) =>
        result.TrackedOutputSteps.Values.SelectMany(static s => s).SelectMany(static s => s.Outputs).Select(static o => o.Reason);

    private static void AssertOutputs(GeneratorRunResult result, params IncrementalStepRunReason[] allowed) =>
        Assert.All(Outputs(result), r => Assert.Contains(r, allowed));
}
