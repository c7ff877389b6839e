using System.Diagnostics;
using System.Text.Json.Nodes;
using MicroVm.Cli.Explain;
using MicroVm.Diagnostics.Explain;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>What <c>microvm explain</c> takes, and what it prints of a machine that has not started. The running one is in the lab's cases 45 and 46.</summary>
public sealed class ExplainTests
{
    [Fact]
    public void Help_names_every_flag()
    {
        string help = Cli.Run("explain", "--help").Out;
        foreach (string flag in new[] { "--gva", "--gpa", "--iova", "--cpu", "--aml", "--json", "--html", "Usage: microvm explain NAME" }) Assert.Contains(flag, help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nothing to explain", new[] { "explain" })]
    [InlineData("nothing to explain", new[] { "explain", "--json" })]
    [InlineData("unexpected argument, y", new[] { "explain", "x", "y" })]
    [InlineData("not an address, here", new[] { "explain", "x", "--gva", "here" })]
    [InlineData("not an address, 0x", new[] { "explain", "x", "--gpa", "0x" })]
    [InlineData("not an address, -1", new[] { "explain", "x", "--gpa", "-1" })]
    [InlineData("not a vCPU, one", new[] { "explain", "x", "--gva", "1", "--cpu", "one" })]
    [InlineData("two things to explain, --gpa 2", new[] { "explain", "x", "--gva", "1", "--gpa", "2" })]
    [InlineData("two things to explain, --aml", new[] { "explain", "x", "--gva", "1", "--aml" })]
    [InlineData("a value is missing, --html", new[] { "explain", "x", "--html" })]
    [InlineData("Did you mean --kernel?", new[] { "explain", "--kernl", "x" })]
    [InlineData("no kernel was given", new[] { "explain", "--cpus", "2" })]
    public void Wrong_words_end_with_127_and_one_line(string expected, string[] args)
    {
        Ran ran = Cli.Run(args);
        Assert.Equal(127, ran.Code);
        Assert.Contains(expected, ran.ErrorLine(), StringComparison.Ordinal);
        Assert.Empty(ran.Out);
    }

    [KvmFact]
    public void A_configuration_is_built_shown_and_given_back()
    {
        string output = Cli.File("never", "kept"), config = Cli.File("explain.json", $$"""{"kernel": "{{Guests.Path("loop")}}", "memory": "16M", "rng": true, "transport": "pci", "serial": "file={{Cli.Scratch}}/never"}""");
        Ran ran = Cli.Run("explain", "--config", config, "--cpus", "2", "--json");
        Assert.Equal((0, ""), (ran.Code, ran.Error));
        JsonNode picture = JsonNode.Parse(ran.Out)!;
        Assert.Equal("not started", picture["machine"]![0]!["state"]!.GetValue<string>());
        Assert.Equal(2, picture["cpus"]!.AsArray().Count);
        Assert.Equal("virtio-rng", picture["pci"]![1]!["device"]!.GetValue<string>());
        Assert.Contains("not decoded", picture["bars"]![0]!["kind"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.All(picture["interrupts"]!.AsArray(), static i => Assert.Equal("masked", i!["state"]!.GetValue<string>()));
        Assert.Empty(picture["queues"]!.AsArray());
        // Where the guest would write, nothing was.
        Assert.Equal("kept", System.IO.File.ReadAllText(output));
    }

    [KvmFact]
    public void The_page_is_whole_and_the_guests_words_are_text()
    {
        string path = Path.Combine(Cli.Scratch, "page.html");
        Assert.Equal(new Ran(0, "", ""), Cli.Run("explain", "--kernel", Guests.Path("loop"), "--memory", "16M", "--rng", "--html", path));
        string page = System.IO.File.ReadAllText(path);
        Assert.StartsWith("<!DOCTYPE html>", page, StringComparison.Ordinal);
        Assert.EndsWith("</body></html>\n", page, StringComparison.Ordinal);
        Assert.Contains("<svg", page, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
        Assert.DoesNotContain("href=", page, StringComparison.Ordinal);
        Ran ran = Cli.Run("explain", "--kernel", Guests.Path("loop"), "--html", "/nonexistent/x.html");
        Assert.Equal(125, ran.Code);
        Assert.Contains("cannot make the page", ran.ErrorLine(), StringComparison.Ordinal);
    }

    [Fact]
    public void Markup_in_a_table_does_not_reach_the_page()
    {
        Section acpi = new("acpi", "table", "guest", "bytes", "revision", "checksum", "declaredIn");
        acpi.Add("<b>&", "0x0", 36L, 1L, "bad", null);
        string page = HtmlPage.Of("<script>", [acpi], "\"<i>");
        Assert.DoesNotContain("<script>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>&", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<i>", page, StringComparison.Ordinal);
        Assert.Contains("&lt;b&gt;&amp;", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Lines_of_a_disassembly_get_their_places()
    {
        System.Text.StringBuilder text = new();
        Disassembly.Annotate(text, "DefinitionBlock (\"\", \"DSDT\", 2)\n{\n    Device (\\_SB.GED0)\n    {\n        Name (_CRS, Package ()  // _CRS\n        {\n            0x01\n        })\n        Field (GEDR, DWordAcc, NoLock, Preserve)\n        {\n            ESEL,   32\n        }\n    }\n    Name (OTHR, 1)\n}",
            new Dictionary<string, string> { ["\\_SB.GED0"] = "a:1", ["\\_SB.GED0._CRS"] = "a:2", ["\\_SB.GED0.ESEL"] = "a:3", ["\\OTHR"] = "a:4" });
        string[] lines = text.ToString().Split('\n');
        Assert.EndsWith("// a:1", lines[2], StringComparison.Ordinal);
        Assert.EndsWith("// a:2", lines[4], StringComparison.Ordinal);
        Assert.EndsWith("// a:3", lines[10], StringComparison.Ordinal);
        Assert.EndsWith("// a:4", lines[13], StringComparison.Ordinal);
    }
}
