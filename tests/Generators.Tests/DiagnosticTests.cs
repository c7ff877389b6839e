using System.Globalization;
using MicroVm.Generators.Registers;
using Microsoft.CodeAnalysis;

namespace MicroVm.Generators.Tests;

/// <summary>Each mistake is reported once, with its id, at its line and column, naming both parties.</summary>
public sealed class DiagnosticTests
{
    private const string File = "devices.def/test.def";

    public static TheoryData<int> Cases
    {
        get
        {
            var data = new TheoryData<int>();
            for (int i = 0; i < DiagnosticCases.All.Length; i++) data.Add(i);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Mistake_is_reported_at_its_place(int number)
    {
        (string id, string marked, string message) = DiagnosticCases.All[number];
        int mark = marked.IndexOf('@', StringComparison.Ordinal);
        int line = marked[..mark].Count(static c => c == '\n');
        int column = mark - (marked.LastIndexOf('\n', mark) + 1);
        Diagnostic found = Assert.Single(Harness.Run(marked.Remove(mark, 1)).Diagnostics);
        Check(found, id, message, line, column);
    }

    [Fact]
    public void All_errors_are_reported_and_reading_goes_on()
    {
        const string Text = """
            block Sample size 8
              access 4
              0x0 Alpha u33 ro # a
              0x4 Beta u32 ro = 1 # b
              0x8 Gamma u32 ro = 1 # c
              0xc delta u32 ro # d
            struct Packet size 4
              0x0 A u64 # a
            """;
        string[] found = [.. Harness.Run(Text).Diagnostics.Select(static d => $"{d.Id}({d.Location.GetLineSpan().StartLinePosition.Line + 1})").Order(StringComparer.Ordinal)];
        Assert.Equal(["MVG002(5)", "MVG002(8)", "MVG020(3)", "MVG020(6)"], found);
    }

    [Fact]
    public void Comment_is_asked_for_by_a_warning_and_the_rest_are_errors()
    {
        Assert.All(Descriptors.Ids, static id => Assert.Equal(id == "MVG015" ? DiagnosticSeverity.Warning : DiagnosticSeverity.Error, Descriptors.Get(id).DefaultSeverity));
    }

    [Fact]
    public void Each_id_has_a_case_a_page_and_a_release_line()
    {
        string releases = Repository.Text("generators/MicroVm.Generators/AnalyzerReleases.Unshipped.md") + Repository.Text("generators/MicroVm.Generators/AnalyzerReleases.Shipped.md");
        foreach (string id in Descriptors.Ids)
        {
            bool locked = string.CompareOrdinal(id, "MVG030") >= 0;
            Assert.True(locked || DiagnosticCases.All.Any(c => c.Id == id), id + " has no case");
            Assert.Contains(id + " |", releases, StringComparison.Ordinal);
            Assert.StartsWith("# " + id, Repository.Text("docs/diagnostics/" + id + ".md"), StringComparison.Ordinal);
        }
    }

    public static readonly TheoryData<string, string, string, int, int> Locks = new()
    {
        { "snapshot \"sample\" 1\n  0x0 Alpha u32\n  0x4 Gone u32\n", "MVG030", "tag 0x4 of 'sample' is 'Gone' u32 in snapshot.lock, but block 'Sample' does not store it", 1, 20 },
        { "snapshot \"sample\" 1\n  0x0 Alpha u64\n", "MVG030", "tag 0x0 of 'sample' is 'Alpha' u64 in snapshot.lock, but now 'Alpha' u32", 3, 6 },
        { "snapshot \"sample\" 1\n  0x0 Alpha u32 retired\n", "MVG030", "'Alpha' uses the tag again", 3, 6 },
        { "snapshot \"sample\" 1\n", "MVG031", "tag 0x0 'Alpha' is new; raise the version to 2", 1, 20 },
        { "snapshot \"sample\" 2\n  0x0 Alpha u32\n", "MVG031", "version 1 is older", 1, 20 },
        { "snapshot \"sample\" 1\n  0x0 Alpha u32[2]\n", "MVG031", "'Alpha' was u32[2] and is u32", 1, 20 },
    };

    [Theory]
    [MemberData(nameof(Locks))]
    public void Shipped_tags_are_kept(string locked, string id, string message, int line, int column)
    {
        const string Text = "# Sample\nblock Sample size 4 snapshot \"sample\" 1\n  access 4\n  0x0 Alpha u32 rw # a\n";
        GeneratorRunResult result = Harness.Run(Harness.Text(File, Text), Harness.Text("devices.def/snapshot.lock", locked));
        Check(Assert.Single(result.Diagnostics), id, message, line, column);
    }

    [Fact]
    public void Removed_block_is_reported_in_the_lock()
    {
        GeneratorRunResult result = Harness.Run(Harness.Text("devices.def/snapshot.lock", "# x\nsnapshot \"gone\" 1\n  0x0 Alpha u32\n"));
        Diagnostic found = Assert.Single(result.Diagnostics);
        Assert.Equal("devices.def/snapshot.lock(2,1)", Place(found));
        Assert.Equal("MVG030", found.Id);
    }

    [Fact]
    public void Missing_hook_is_an_error_at_its_register()
    {
        const string Text = "# Sample\nblock Sample size 4\n  access 4\n  0x0 Alpha u32 ro from ReadAlpha # a\n";
        Diagnostic found = Assert.Single(Harness.Compile([Harness.Text(File, Text)]));
        Assert.Equal("CS8795", found.Id);
        FileLinePositionSpan place = found.Location.GetMappedLineSpan();
        Assert.EndsWith(File, place.Path, StringComparison.Ordinal);
        Assert.Equal(3, place.StartLinePosition.Line);
    }

    private static void Check(Diagnostic found, string id, string message, int line, int column)
    {
        string text = found.GetMessage(CultureInfo.InvariantCulture);
        Assert.Equal(id + " " + $"{File}({line + 1},{column + 1})", found.Id + " " + Place(found));
        Assert.Contains(message, text, StringComparison.Ordinal);
    }

    private static string Place(Diagnostic found)
    {
        FileLinePositionSpan span = found.Location.GetLineSpan();
        return $"{span.Path}({span.StartLinePosition.Line + 1},{span.StartLinePosition.Character + 1})";
    }
}
