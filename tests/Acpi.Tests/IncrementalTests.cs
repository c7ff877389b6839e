using System.Collections;
using System.Reflection;
using MicroVm.Generators.Acpi;
using Microsoft.CodeAnalysis;
using static Microsoft.CodeAnalysis.IncrementalStepRunReason;

namespace Acpi.Tests;

/// <summary>What is not changed is not compiled again; after dotnet/runtime's JsonSourceGeneratorIncrementalTests.</summary>
public sealed class IncrementalTests
{
    private const string One = "fragment\nparam A : u32\nDevice (\\_SB.ONE0) { Name (_ADR, ${A}) }\n";
    private const string Two = "fragment\nparam A : u32\nDevice (\\_SB.TWO0) { Name (_ADR, ${A}) }\n";
    private const string Table = "table Test \"TEST\" revision 1 size 40 oem \"MICROV\" \"TEST\"\n  36 First u32 param # 1\n";
    private const string Block = "block Thing size 4\n  access 4\n  0x0 Reg u32 rw # a\n";

    private static GeneratorDriver Run(out TextFile one, out TextFile two, out TextFile table, out TextFile block)
    {
        (one, two, table, block) = (new("/t/one.asl", One), new("/t/two.asl", Two), new("/t/test.table", Table), new("/t/thing.def", Block));
        return GeneratorHost.Driver(one, two, table, block).RunGenerators(GeneratorHost.Compilation());
    }

    private static void Outputs(GeneratorDriver driver, params IncrementalStepRunReason[] expected) =>
        Assert.Equal(expected.Order(), driver.GetRunResult().Results[0].TrackedOutputSteps.SelectMany(static s => s.Value).SelectMany(static s => s.Outputs).Select(static o => o.Reason).Order());

    [Fact]
    public void SameTextIsCached()
    {
        GeneratorDriver driver = Run(out _, out _, out _, out _).RunGenerators(GeneratorHost.Compilation());
        Assert.Equal([Cached, Cached], GeneratorHost.Reasons(driver, AcpiGenerator.Steps.Compile));
        Outputs(driver, Cached, Cached, Cached, Cached);
    }

    [Fact]
    public void AChangeOfTheSourceCodeIsNothingToTheGenerator()
    {
        GeneratorDriver driver = Run(out _, out _, out _, out _).RunGenerators(GeneratorHost.Compilation("class Unrelated;"));
        Assert.All(GeneratorHost.Reasons(driver, AcpiGenerator.Steps.Model), static r => Assert.Equal(Cached, r));
        Outputs(driver, Cached, Cached, Cached, Cached);
    }

    [Fact]
    public void EqualTextInANewFileObjectIsUnchanged()
    {
        GeneratorDriver driver = Run(out TextFile one, out _, out _, out _).ReplaceAdditionalText(one, new TextFile("/t/one.asl", One)).RunGenerators(GeneratorHost.Compilation());
        Assert.Equal([Unchanged, Cached], GeneratorHost.Reasons(driver, AcpiGenerator.Steps.Compile));
        Outputs(driver, Cached, Cached, Cached, Cached);
    }

    [Fact]
    public void OneEditedFileIsCompiledAlone()
    {
        TextFile edited = new("/t/one.asl", One.Replace("ONE0", "ONE1", StringComparison.Ordinal));
        GeneratorDriver driver = Run(out TextFile one, out _, out _, out _).ReplaceAdditionalText(one, edited).RunGenerators(GeneratorHost.Compilation());
        Assert.Equal([Modified, Cached], GeneratorHost.Reasons(driver, AcpiGenerator.Steps.Model));
        Outputs(driver, Modified, Cached, Cached, Cached);
    }

    [Fact]
    public void AnAddedRegisterThatNobodyNamesChangesNoOutput()
    {
        TextFile edited = new("/t/thing.def", Block.Replace("size 4", "size 8", StringComparison.Ordinal));
        GeneratorDriver driver = Run(out _, out _, out _, out TextFile block).ReplaceAdditionalText(block, edited).RunGenerators(GeneratorHost.Compilation());
        Assert.Equal([Modified], GeneratorHost.Reasons(driver, AcpiGenerator.Steps.Layouts));
        Assert.Equal([Unchanged, Unchanged], GeneratorHost.Reasons(driver, AcpiGenerator.Steps.Compile));
        Outputs(driver, Cached, Cached, Cached, Cached);
    }

    [Fact]
    public void AnAddedFileIsNewAndTheOthersAreCached()
    {
        GeneratorDriver driver = Run(out _, out _, out _, out _).AddAdditionalTexts([new TextFile("/t/three.asl", One.Replace("ONE0", "THR0", StringComparison.Ordinal))]).RunGenerators(GeneratorHost.Compilation());
        Outputs(driver, New, Modified, Cached, Cached, Cached);
    }

    /// <summary>A symbol, syntax node or text kept in a model would keep whole compilations alive.</summary>
    [Fact]
    public void ModelsHoldPlainValuesOnly()
    {
        GeneratorDriver driver = GeneratorHost.Driver(GeneratorHost.Tree()).RunGenerators(GeneratorHost.Compilation());
        string[] steps = [AcpiGenerator.Steps.Registers, AcpiGenerator.Steps.Layouts, AcpiGenerator.Steps.Compile, AcpiGenerator.Steps.Model, AcpiGenerator.Steps.Table, AcpiGenerator.Steps.TableModel];
        foreach (string step in steps)
        {
            foreach (object value in driver.GetRunResult().Results[0].TrackedSteps[step].SelectMany(static s => s.Outputs).Select(static o => o.Value)) Plain(value, []);
        }
    }

    private static void Plain(object? value, HashSet<object> seen)
    {
        if (value is null or string || value.GetType().IsPrimitive || value.GetType().IsEnum || !seen.Add(value)) return;
        Assert.False(value is AdditionalText or ISymbol or SyntaxNode or Location or Compilation, value.GetType().Name);
        Assert.DoesNotContain("Microsoft.CodeAnalysis", value.GetType().Namespace ?? "", StringComparison.Ordinal);
        if (value is IEnumerable items)
        {
            foreach (object? item in items) Plain(item, seen);
            return;
        }
        foreach (FieldInfo field in value.GetType().GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)) Plain(field.GetValue(value), seen);
    }
}
