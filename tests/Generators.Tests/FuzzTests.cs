using System.Diagnostics;
using MicroVm.Generators.Registers.Checks;
using MicroVm.Generators.Registers.Emit;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Parse;

namespace MicroVm.Generators.Tests;

/// <summary>Whatever the text: no exception, no hang. Seeds are fixed, so that a failure can be repeated.</summary>
public sealed class FuzzTests
{
    private static readonly string[] Words =
    [
        "block", "struct", "flags", "enum", "consts", "device", "machine", "access", "bank", "size", "snapshot", "\"tag\"", "1", "4", "natural", "any", "below",
        "u8", "u16", "u32", "u64", "ro", "rw", "wo", "w1c", "rc", "=", "mask", "from", "take", "into", "then", "via", "atomic", "resident", "doorbell", "match",
        "halves", "when", "not", "and", "secret", "indexed", "by", "of", "window", "stride", "range", "place", "pio", "mmio", "irq", "irqs", "queue", "feature",
        "Alpha", "Beta", "Queue", "Queue.Size", "[", "]", ":", ",", ".", "..", "0x0", "0x4", "0xffffffffffffffff", "4096", "0", "#", "\n", "\n  ", "\n    ", "\t",
        "hidden", "retired", "id", "shares", "ram", "\u00e9", "\"", "0x", "99999999999999999999", "2147483647",
    ];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_words_are_survived(int seed)
    {
        var random = new Random(seed);
        Repeat(() => string.Join(random.Next(4) == 0 ? "" : " ", Enumerable.Range(0, random.Next(1, 120)).Select(_ => Words[random.Next(Words.Length)])));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void Mutated_definitions_are_survived(int seed)
    {
        var random = new Random(seed);
        string[] texts = [.. Repository.Definitions.Select(Repository.Text), .. Directory.GetFiles(Repository.Full("tests/Generators.Tests/Cases")).Select(File.ReadAllText)];
        Repeat(() =>
        {
            string text = texts[random.Next(texts.Length)];
            for (int edits = random.Next(1, 6); edits > 0; edits--) text = Mutate(text, texts, random);
            return text;
        });
    }

    [Fact]
    public void Random_characters_are_survived()
    {
        var random = new Random(7);
        Repeat(() => string.Concat(Enumerable.Range(0, random.Next(200)).Select(_ => (char)(random.Next(3) == 0 ? random.Next(0x10000) : random.Next(9, 127)))));
    }

    [Fact]
    public void Large_inputs_take_no_longer_than_their_size()
    {
        var clock = Stopwatch.StartNew();
        Try("block Big size 0x100000 snapshot \"big\" 1\n  access 4\n" + string.Concat(Enumerable.Range(0, 2000).Select(static i => $"  0x{4 * i:x} R{i} u32 rw # r\n")));
        Try(new string(' ', 1_000_000) + new string('[', 100_000));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), clock.Elapsed.ToString());
    }

    private static string Mutate(string text, string[] texts, Random random)
    {
        if (text.Length < 4) return text + Words[random.Next(Words.Length)];
        int at = random.Next(text.Length - 1);
        int length = random.Next(1, Math.Min(20, text.Length - at));
        return random.Next(5) switch
        {
            0 => text.Remove(at, length),
            1 => text.Insert(at, Words[random.Next(Words.Length)]),
            2 => text.Remove(at, length).Insert(at, Words[random.Next(Words.Length)]),
            3 => text.Insert(at, text.Substring(at, length)),
            _ => text[..at] + texts[random.Next(texts.Length)],
        };
    }

    private static void Repeat(Func<string> next)
    {
        var clock = Stopwatch.StartNew();
        for (int i = 0; i < 1500 && clock.Elapsed < TimeSpan.FromSeconds(3); i++) Try(next());
    }

    private static void Try(string text)
    {
        try
        {
            ParsedFile parsed = DefinitionParser.Parse("f.def", "f.def", text, default);
            foreach (var d in parsed.Diagnostics)
            {
                Assert.InRange(d.Start, 0, text.Length);
                _ = d.Create(Registers.Descriptors.Get(d.Id)).GetMessage(System.Globalization.CultureInfo.InvariantCulture);
            }
            FileEmitter.Emit(parsed.Model);
            foreach (MachineModel m in parsed.Model.Machines) FileEmitter.Machine(m, "f.def", new Dictionary<string, int>());
            SnapshotLock locked = LockFile.Parse("snapshot.lock", text, default);
            CrossChecks.Run(new([parsed.Summary, parsed.Summary]), locked, default);
        }
        catch (Exception e) when (e is not Xunit.Sdk.XunitException)
        {
            Assert.Fail($"{e.GetType().Name}: {e.Message}\n{e.StackTrace}\n--- text ---\n{text}");
        }
    }
}
