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
    [InlineData("unexpected argument, z", new[] { "explain", "x", "y", "z" })]
    [InlineData("unexpected argument, y", new[] { "explain", "x", "y", "--kernel", "k" })]
    [InlineData("two things to explain, memory", new[] { "explain", "x", "memory", "--gva", "1" })]
    [InlineData("two things to explain, memory", new[] { "explain", "x", "memory", "--html", "f" })]
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

    [Fact]
    public void One_section_alone_and_an_error_that_lists_them()
    {
        using ControlTarget machine = new();
        Ran all = Cli.Run("explain", machine.Path), one = Cli.Run("explain", machine.Path, "acpi-fields"), json =
            Cli.Run("explain", machine.Path, "threads", "--json");
        Assert.Equal((0, 0, 0), (all.Code, one.Code, json.Code));
        Assert.StartsWith("ACPI FIELDS\n", one.Out, StringComparison.Ordinal);
        Assert.Contains(one.Out, all.Out, StringComparison.Ordinal);
        KeyValuePair<string, JsonNode?> threads = Assert.Single(JsonNode.Parse(json.Out)!.AsObject());
        Assert.Contains(threads.Value!.AsArray(), static t => t!["name"]!.GetValue<string>() == "control");
        Ran wrong = Cli.Run("explain", machine.Path, "memroy");
        Assert.Equal(127, wrong.Code);
        Assert.Contains("no such section, memroy. Use one of machine, cpus, devices, threads, memory, ports,",
            wrong.ErrorLine(), StringComparison.Ordinal);
    }

    [KvmFact]
    public void The_host_s_side_of_each_device_is_listed()
    {
        string disk = Cli.File("host-side.img", new string('\0', 1 << 20)), serial =
            Path.Combine(Cli.Scratch, "host-side.log"), vsock = Path.Combine(Cli.Scratch, "v");
        string[] flags = ["--kernel", Guests.Path("loop"), "--memory", "16M", "--disk",
            $"{Path.GetRelativePath(Environment.CurrentDirectory, disk)},id=data,transport=pci", "--vsock", $"cid=3,socket={vsock}", "--rng", "--console",
            $"file={serial}"];
        Ran ran = Cli.Run(["explain", "devices", .. flags, "--json"]);
        Assert.Equal((0, ""), (ran.Code, ran.Error));
        JsonNode[] rows = [.. JsonNode.Parse(ran.Out)!["devices"]!.AsArray()!];
        string[] Row(string device) =>
            [.. rows.Where(r => r["device"]!.GetValue<string>() == device).Select(r => $"{r["host"]} {r["thread"]}")];
        Assert.Equal([$"{disk} virtio-block"], Row("virtio-block"));
        Assert.Equal([$"{vsock} virtio-vsock"], Row("virtio-vsock"));
        Assert.Equal([" devices"], Row("virtio-rng"));
        Assert.Equal(["this process devices"], Row("virtio-console"));
        Assert.Equal(["this process "], Row("serial port"));
    }

    [KvmFact]
    public void The_page_is_whole_and_the_guests_words_are_text()
    {
        string path = Path.Combine(Cli.Scratch, "page.html");
        Assert.Equal(new Ran(0, "", ""), Cli.Run("explain", "--kernel", Guests.Path("loop"), "--memory", "16M", "--rng", "--html", path));
        string page = System.IO.File.ReadAllText(path);
        Assert.StartsWith("<!DOCTYPE html>", page, StringComparison.Ordinal);
        Assert.EndsWith("</body></html>\n", page, StringComparison.Ordinal);
        Assert.Contains("<div class=\"lane\">", page, StringComparison.Ordinal);
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
        string page = HtmlPage.Of("<script>", [acpi], "\"<u>");
        Assert.DoesNotContain("<script>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>&", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<u>", page, StringComparison.Ordinal);
        Assert.Contains("&lt;b&gt;&amp;", page, StringComparison.Ordinal);
    }

    // A thing's three columns stand in one lane, in the order of guest addresses; hot-plug units are one box.
    [Fact]
    public void The_drawing_has_a_lane_for_each_thing_with_its_host_s_side_and_what_waits_comes_last()
    {
        Section memory = new("memory", "guest", "bytes", "host", "access", "what"), devices =
            new("devices", "place", "device", "id", "host", "backend", "thread");
        memory.Add("0x0", 3UL << 30, "0x7f00", "read, write", "RAM");
        memory.Add("0x100000000", 1UL << 30, "0x7f80", "read, write", "RAM");
        devices.Add("00:02.0", "virtio-block", "data", "/srv/data.img", "io_uring", "virtio-block");
        devices.Add("00:01.0", "virtio-net", null, "tap0", "tap", "virtio-net");
        devices.Add("00:03.0", "virtio-rng", null, null, null, "devices");
        Section bars = new("bars", "address", "bar", "bytes", "guest", "kind"), registers =
            new("registers", "from", "to", "block", "declaredIn"), pci =
            new("pci", "address", "behind", "device", "id", "leadsToBus");
        bars.Add("00:02.0", 0L, 16384L, "0xc0004000", "64-bit");
        bars.Add("00:01.0", 0L, 16384L, "0xc0000000", "64-bit");
        for (int i = 0; i < 24; i++) registers.Add($"0xfeb1{i * 16:x4}", "", "AcpiUnit", "");
        for (int i = 4; i < 12; i++) pci.Add($"00:{i:x2}.0", null, "root port", "1b36:000c", i);
        string page = HtmlPage.Of("m", [memory, devices, bars, registers, pci], null);
        string[] lanes = [.. page.Split("<div class=\"lane\">")[1..].Select(static l => l[..l.IndexOf('\n')])];
        string Lane(string text) => Assert.Single(lanes, l => l.Contains(text, StringComparison.Ordinal));
        Assert.Contains("2 slots of KVM", Lane("RAM, 4 GiB"), StringComparison.Ordinal);
        foreach (string text in new[] { "BAR 0 at 0xc0004000", "io_uring", "threads named virtio-block" })
            Assert.Contains(text, Lane("/srv/data.img"), StringComparison.Ordinal);
        int At(string text) => Array.IndexOf(lanes, Lane(text));
        Assert.True(At("RAM, 4") < At("tap0") && At("tap0") < At("data.img") && At("data.img") < At("virtio-rng")
            && At("virtio-rng") < At("24 hot-plug units"));
        Assert.Contains("and 5 more", Lane("8 empty root ports"), StringComparison.Ordinal);
        Assert.Equal(7, lanes.Length);
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
