using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>What a guest wrote into its tables reaches neither <c>iasl</c> nor the terminal: a machine without a vCPU
/// has the tables, and a script stands in the place of <c>iasl</c>.</summary>
public sealed class DisassemblyTests : IDisposable
{
    private const string Damaged = "not as declared";

    private readonly ControlTarget _machine = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-iasl-").FullName;
    private readonly ulong _dsdt;

    public DisassemblyTests()
    {
        Assert.True(_machine.Memory.TryRange(BootLayout.Acpi, BootLayout.AcpiSize, out HostRange area));
        AcpiPlatform platform = new()
        {
            CpuCount = 2, IoApicAddress = 0xfec0_0000, Sleep = new AcpiSleepPorts(0x600, 0x601, 0x602),
            Ged = new AcpiMmioDevice(0xfeb0_0000, 3), PvPanicPort = 0x505,
            VirtioMmio = (AcpiMmioDevice[])[new(0xd000_0000, 4)],
        };
        _ = AcpiTables.Build(platform, area.Span, BootLayout.Acpi);
        _dsdt = BootLayout.Acpi + (ulong)area.Span.IndexOf("DSDT"u8);
        Iasl("echo called >> \"$0.called\"; printf 'DefinitionBlock \\033]0;x\\007\\n{\\n}\\n' > \"${2%.aml}.dsl\"");
    }

    public void Dispose()
    {
        _machine.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_table_as_declared_is_disassembled_and_what_comes_back_cannot_order_the_terminal()
    {
        Ran ran = Aml();
        Assert.Equal((0, "DefinitionBlock ?]0;x?\n{\n}\n"), (ran.Code, ran.Out.TrimEnd() + "\n"));
        Assert.True(WasCalled);
    }

    [Theory]
    [InlineData(60, "code")]
    [InlineData(4, "the length in the header")]
    [InlineData(0, "the signature")]
    [InlineData(10, "the OEM's name")]
    public void A_table_that_the_guest_wrote_over_is_shown_in_digits_and_given_to_no_program(int offset, string what)
    {
        Assert.True(_machine.Memory.TryRead(_dsdt + (ulong)offset, out byte old));
        Assert.True(_machine.Memory.TryWrite(_dsdt + (ulong)offset, (byte)(old ^ 0x1b)));
        Ran ran = Aml();
        Assert.True(ran.Code == 0 && ran.Out.Contains(Damaged, StringComparison.Ordinal), $"{what}: {ran}");
        Assert.Matches("(?m)^000000  [0-9a-f]{32}$", ran.Out);
        Assert.False(WasCalled, what);
        Assert.DoesNotContain('\e', ran.Out);
    }

    [Fact]
    public void Digits_of_a_name_are_digits()
    {
        Assert.True(_machine.Memory.TryRange(_dsdt, 0x2000, out HostRange range));
        int digits = range.Span.IndexOf("VR00"u8);
        Assert.True(digits > 0);
        range.Span[digits + 2] = (byte)'(';
        Assert.Contains(Damaged, Aml().Out, StringComparison.Ordinal);
        Assert.False(WasCalled);
    }

    [Fact]
    public void A_program_that_does_not_end_or_writes_without_end_is_ended()
    {
        Iasl("sleep 600");
        Assert.Contains("iasl failed", Aml().Out, StringComparison.Ordinal);
        Iasl("exec cat /dev/zero > \"${2%.aml}.dsl\"");
        Assert.Contains("iasl failed", Aml().Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_page_is_not_written_through_a_link()
    {
        string precious = Cli.File("precious", "kept"), link = Path.Combine(_folder, "page.html");
        File.CreateSymbolicLink(link, precious);
        Ran ran = Cli.Run("explain", _machine.Path, "--html", link);
        Assert.Equal((125, "kept"), (ran.Code, File.ReadAllText(precious)));
        Assert.Contains($"{link} is a symbolic link", ran.ErrorLine(), StringComparison.Ordinal);
        File.Delete(link);
        Assert.Equal(new Ran(0, "", ""), Cli.Run("explain", _machine.Path, "--html", link));
        Assert.StartsWith("<!DOCTYPE html>", File.ReadAllText(link), StringComparison.Ordinal);
    }

    [Fact]
    public void A_timeline_is_not_written_through_a_link()
    {
        string precious = Cli.File("precious", "kept"), link = Path.Combine(_folder, "timeline.json");
        File.CreateSymbolicLink(link, precious);
        Ran ran = Cli.Run("run", "--kernel", Guests.Path("loop"), "--timeline", link);
        Assert.Equal((125, "kept"), (ran.Code, File.ReadAllText(precious)));
        Assert.Contains("cannot make the timeline", ran.ErrorLine(), StringComparison.Ordinal);
    }

    private bool WasCalled => File.Exists(Path.Combine(_folder, "iasl.called"));

    private Ran Aml() => Cli.Shell($"PATH={_folder}:$PATH exec \"$0\" \"$@\"", "explain", _machine.Path, "--aml");

    private void Iasl(string script)
    {
        string path = Path.Combine(_folder, "iasl");
        File.WriteAllText(path, $"#!/bin/sh\n{script}\n");
        Assert.Equal(0, Cli.Shell("chmod +x \"$1\"", path).Code);
    }
}
