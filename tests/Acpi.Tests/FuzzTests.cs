using System.Text;
using MicroVm.Generators.Acpi;

namespace Acpi.Tests;

/// <summary>Whatever the text, parsers answer: with diagnostics, without exception, in time.</summary>
public sealed class FuzzTests
{
    private static readonly string[] Words =
    [
        .. AslOperators.Names, "{", "}", "(", ")", "[", "]", ",", "=", "+", "-", "!", "~", "^", "<<", "==", "&&", "++", "+=", "\\", "^^X", "\\_SB.DEV0", "${A}", "${A.B}", "VR${A}", "${", "$", "\"text\"", "\"", "0x", "0x1F",
        "12", "0xFFFFFFFFFFFFFFFF", "99999999999999999999", "table", "fragment", "each", "param", ":", "u32", "u8", "DSDT", "//", "/*", "*/", "\n", "Edge", "ActiveHigh", "ResourceConsumer", "SystemMemory", "AcpiGed", "Offset",
        "entry", "layout", "size", "sum", "gas", "zero", "#", "|", "revision", "oem", "é", "\0", "\r",
    ];

    private static string RandomText(Random random)
    {
        var text = new StringBuilder();
        int count = random.Next(1, 80);
        for (int i = 0; i < count; i++) text.Append(Words[random.Next(Words.Length)]).Append(random.Next(4) == 0 ? "\n" : " ");
        return text.ToString();
    }

    /// <summary>A definition of the tree with a few pieces cut, doubled or exchanged.</summary>
    private static string Mutated(Random random, string text)
    {
        for (int i = random.Next(1, 6); i > 0 && text.Length > 2; i--)
        {
            int at = random.Next(text.Length), length = random.Next(Math.Min(12, text.Length - at));
            text = random.Next(3) switch
            {
                0 => text.Remove(at, length),
                1 => text.Insert(at, Words[random.Next(Words.Length)]),
                _ => text.Insert(at, text.Substring(at, length)),
            };
        }
        return text;
    }

    private static void Compile(string text)
    {
        try
        {
            AslCompiler.Compile("f.asl", text, Definitions.Layouts, default);
            AcpiLintAnalyzer.Lint("f.asl", text, Definitions.Layouts, default);
            AslExpander.Expand(text, Definitions.Layouts, static (_, p) => 1);
            TableEmitter.Emit(TableParser.Parse("f.table", text, Definitions.Layouts, default).Model);
            RegisterLayoutReader.Read(text, default);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"failed on:\n{text}", e);
        }
    }

    [Theory]
    [InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void RandomTextIsAnswered(int seed)
    {
        var random = new Random(seed);
        for (int i = 0; i < 800; i++) Compile(RandomText(random));
    }

    [Theory]
    [InlineData(5), InlineData(6), InlineData(7), InlineData(8)]
    public void MutatedDefinitionsAreAnswered(int seed)
    {
        var random = new Random(seed);
        string[] texts = [.. Definitions.Files(".asl").Concat(Definitions.Files(".table")).Select(Definitions.Text)];
        for (int i = 0; i < 400; i++) Compile(Mutated(random, texts[random.Next(texts.Length)]));
    }

    [Theory]
    [InlineData("("), InlineData("{"), InlineData("If (1) {"), InlineData("Package () {"), InlineData("!"), InlineData("~("), InlineData("Add ("), InlineData("1 + ("), InlineData("Device (\\A) {"), InlineData("A ["), InlineData("^"), InlineData("X (")]
    public void DeepNestingIsAnError(string opening) => Compile(string.Concat(Enumerable.Repeat(opening, 10_000)));

    [Theory]
    [InlineData("A = "), InlineData("1 + "), InlineData("A . "), InlineData("else "), InlineData("If (1) {} ElseIf (1) {} "), InlineData("++ "), InlineData("A++ ")]
    public void LongTextIsReadInTime(string piece) => Compile("Method (\\AAAA) { " + string.Concat(Enumerable.Repeat(piece, 3_000)));
}
