using Microsoft.CodeAnalysis;

namespace MicroVm.Generators.Tests;

/// <summary>Emitted code, word for word, and that it compiles without a warning.</summary>
public sealed class GoldenTests
{
    public static TheoryData<string> Cases => ["small", "merging", "resident", "data"];

    public static TheoryData<string> Real => ["virtio_mmio", "uart16550", "ioapic"];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Case_is_as_recorded(string name)
    {
        GeneratorRunResult result = Harness.Run(Case(name));
        Assert.Empty(result.Diagnostics);
        Repository.Baseline($"tests/Generators.Tests/Baselines/{name}.g.cs.txt", Text(result));
    }

    [Theory]
    [MemberData(nameof(Real))]
    public void Definition_is_as_recorded(string name)
    {
        GeneratorRunResult result = Harness.Run(Harness.Text($"devices.def/{name}.def", Repository.Text($"devices.def/{name}.def")));
        Assert.Empty(result.Diagnostics);
        Repository.Baseline($"tests/Generators.Tests/Baselines/{name}.g.cs.txt", result.Source($"Registers.{name}.def.g.cs"));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Case_compiles_without_a_warning(string name) => Assert.Empty(Harness.Compile([Case(name)], Halves.Of(name)));

    [Fact]
    public void All_definitions_are_without_an_error()
    {
        AdditionalText[] files = [.. Repository.Definitions.Append("devices.def/snapshot.lock").Select(f => Harness.Text(f, Repository.Text(f)))];
        Assert.Empty(Harness.Run(files).Diagnostics);
    }

    [Fact]
    public void Output_depends_on_neither_order_nor_culture()
    {
        AdditionalText[] files = [.. Repository.Definitions.Select(f => Harness.Text(f, Repository.Text(f)))];
        string first = Text(Harness.Run(files));
        Assert.DoesNotContain('\r', first);
        var before = Thread.CurrentThread.CurrentCulture;
        try
        {
            Thread.CurrentThread.CurrentCulture = new System.Globalization.CultureInfo("");
            Array.Reverse(files);
            Assert.Equal(first, Text(Harness.Run(files)));
        }
        finally
        {
            Thread.CurrentThread.CurrentCulture = before;
        }
    }

    [Fact]
    public void No_absolute_path_comes_out()
    {
        string path = Repository.Full("devices.def/exit_port.def");
        Assert.DoesNotContain(Repository.Root, Text(Harness.Run(Harness.Text(path, Repository.Text("devices.def/exit_port.def")))), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/home/x/repo/vmm/MicroVm/../../devices.def/a.def", "/home/x/repo/", "devices.def/a.def")]
    [InlineData("/home/x/repo/devices.def/./a.def", "/home/x/repo", "devices.def/a.def")]
    [InlineData("C:\\repo\\vmm\\..\\devices.def\\a.def", "C:\\repo\\", "devices.def/a.def")]
    [InlineData("/elsewhere/devices.def/a.def", "", "devices.def/a.def")]
    [InlineData("../../devices.def/a.def", "/home/x/repo", "devices.def/a.def")]
    [InlineData("/elsewhere/a.def", "/home/x/repo", "a.def")]
    public void File_is_named_from_the_repository(string path, string root, string expected) =>
        Assert.Equal(expected, Registers.RegisterGenerator.RelativePath(path, root));

    private static AdditionalText Case(string name) => Harness.Text($"devices.def/{name}.def", Repository.Text($"tests/Generators.Tests/Cases/{name}.def"));

    private static string Text(GeneratorRunResult result) => string.Join(
        "\n", result.GeneratedSources.OrderBy(static s => s.HintName, StringComparer.Ordinal).Select(static s => $"// ==== {s.HintName}\n{s.SourceText}"));
}
