using System.Text.RegularExpressions;

namespace Acpi.Tests;

/// <summary>The whole of what the guest is told, held against ACPICA's disassembler, compiler and interpreter.</summary>
public sealed class PlatformOracleTests
{
    private const int CreatorId = 28, HeaderSize = 36, Checksum = 9;

    [OracleFact]
    public void EveryKindOfTableIsUnderstoodAndGivenBack()
    {
        using var iasl = new Iasl();
        Understood(iasl, PlatformTables.Build(2, 2).Tables);
    }

    [OracleFact]
    public void G3_EveryNumberOfCpusIsUnderstoodAndGivenBack()
    {
        using var iasl = new Iasl();
        Understood(iasl, Enumerable.Range(1, 254).Concat([255, 256, 300, 1000]).ToDictionary(static n => $"M{n}", static n => PlatformTables.Build(n, 0).Tables["APIC"]));
    }

    [OracleFact]
    public void G3_EveryNumberOfVirtioDevicesIsUnderstoodAndGivenBack()
    {
        using var iasl = new Iasl();
        Dictionary<string, byte[]> tables = Enumerable.Range(0, 33).ToDictionary(static n => $"D{n}", static n => PlatformTables.Build(1, n).Tables["DSDT"]);
        foreach (int n in (int[])[0, 1, 32]) tables.Add($"B{n}", PlatformTables.Build(1, n, everything: false).Tables["DSDT"]);
        Understood(iasl, tables);
    }

    /// <summary>Disassembled without complaint, compiled again without error or warning, and the same bytes but for the compiler's name.</summary>
    private static void Understood(Iasl iasl, Dictionary<string, byte[]> tables)
    {
        foreach ((string name, byte[] table) in tables)
        {
            iasl.Write($"{name}.dat", table);
            string said = iasl.Run("iasl", "-d", $"{name}.dat");
            Assert.DoesNotMatch(new Regex("(?i)checksum|warning|invalid|unknown|could not"), said);
            string compiled = iasl.Run("iasl", "-oa", $"{name}.dsl");
            Assert.True(compiled.Contains("0 Errors, 0 Warnings", StringComparison.Ordinal), compiled);
            string text = iasl.Read($"{name}.dsl");
            Assert.DoesNotMatch(new Regex("(?i)incorrect checksum|should be|unknown"), text);
            byte[] again = iasl.ReadBytes($"{name}.aml");
            Assert.Equal(table.Length, again.Length);
            Assert.Equal(table[..Checksum], again[..Checksum]);
            Assert.Equal(table[(Checksum + 1)..CreatorId], again[(Checksum + 1)..CreatorId]);
            Assert.Equal(table[HeaderSize..], again[HeaderSize..]);
        }
    }

    [OracleFact]
    public void G3_InterpreterFindsEveryDeviceAndItsResources()
    {
        using var iasl = new Iasl();
        iasl.Write("dsdt.aml", PlatformTables.Build(2, 32).Tables["DSDT"]);
        string[] devices = ["COM1", "GED0", "PEVT", .. Enumerable.Range(0, 32).Select(static n => $"VR{n:X2}")];
        foreach (string device in devices)
        {
            string said = Execute(iasl, $"execute \\_SB.{device}._STA; execute \\_SB.{device}._CRS");
            Assert.Matches(new Regex($@"\\_SB\.{device}\._STA returned.*\s+\[Integer\] = 000000000000000[BF]"), said);
            Assert.Matches(new Regex($@"\\_SB\.{device}\._CRS returned.*\s+\[Buffer\] Length"), said);
            // Device 31: registers at 0xD001F000, line 35.
            if (device == "VR1F") Assert.Matches(new Regex(@"\[Buffer\] Length 17 =\s+0000: 86 09 00 01 00 F0 01 D0 00 10 00 00 89 06 00 03.*\s+0010: 01 23 00 00 00 79 00"), said);
        }
        // A memory device: its range is what the registers say, here the fill value in each byte, of which the last address follows.
        string range = Execute(iasl, @"execute \_SB.MD01._CRS", "-fv", "0x11");
        Assert.Matches(new Regex(@"\[Buffer\] Length 30 =\s+0000: 8A 2B 00 00 0D 03 00 00 00 00 00 00 00 00 11 11.*\s+0010: 11 11 11 11 11 11 21 22 22 22 22 22 22 22 00 00"), range);
        Assert.Equal(2, Regex.Count(Execute(iasl, @"execute \_S5"), @"\[Integer\] = 0000000000000005"));
        Assert.Contains("= 0000000000000003", Execute(iasl, @"execute \_SB.PEVT.RDPT", "-fv", "3"), StringComparison.Ordinal);
    }

    private static string Execute(Iasl iasl, string commands, params string[] options)
    {
        string said = iasl.Run("acpiexec", [.. options, "-b", commands + "; quit", "dsdt.aml"]);
        Assert.DoesNotMatch(new Regex("AE_|Exception|Error"), said);
        return said;
    }

    /// <summary>Bit 0 of the selector presses the power button, and the other bits do not. The fill value of acpiexec is what the selector reads.</summary>
    [OracleFact]
    public void EventMethodPressesThePowerButton()
    {
        using var iasl = new Iasl();
        iasl.Write("dsdt.aml", PlatformTables.Build(1, 0).Tables["DSDT"]);
        Assert.Matches(new Regex("Notify.*PWRB.*0x80"), Execute(iasl, @"execute \_SB.GED0._EVT 3", "-fv", "1"));
        Assert.DoesNotContain("PWRB", Execute(iasl, @"execute \_SB.GED0._EVT 3", "-fv", "2"), StringComparison.Ordinal);
    }

    /// <summary>Bits 1 to 3 tell what the units of CPUs, memory devices and slots have to tell: all of it here, as every register reads the fill value.</summary>
    [OracleFact]
    public void EventMethodTellsOfEachUnit()
    {
        using var iasl = new Iasl();
        iasl.Write("dsdt.aml", PlatformTables.Build(1, 0).Tables["DSDT"]);
        string said = Execute(iasl, @"execute \_SB.GED0._EVT 3", "-fv", "0xff");
        Assert.Equal((4, 6, 4), (Regex.Count(said, @"Notify.*SLOT"), Regex.Count(said, @"Notify.*C00[0-2]"), Regex.Count(said, @"Notify.*MD0[01]")));
        Assert.DoesNotContain("SLOT", Execute(iasl, @"execute \_SB.GED0._EVT 3", "-fv", "7"), StringComparison.Ordinal);
    }

    [OracleFact]
    public void RsdpIsTheOneThatIaslWrites()
    {
        // iasl has no signature table for an RSDP in a .dat, but a data table description of it can be compiled.
        using var iasl = new Iasl();
        PlatformTables built = PlatformTables.Build(1, 0);
        byte[] rsdp = built.Bytes[..36];
        iasl.Write("rsdp.asl", $"""
            [0008] Signature : "RSD PTR "
            [0001] Checksum : 00
            [0006] Oem ID : "MICROV"
            [0001] Revision : 02
            [0004] RSDT Address : {BitConverter.ToUInt32(rsdp, 16):X8}
            [0004] Length : 00000024
            [0008] XSDT Address : {BitConverter.ToUInt64(rsdp, 24):X16}
            [0001] Extended Checksum : 00
            [0003] Reserved : 000000
            """);
        string said = iasl.Run("iasl", "rsdp.asl");
        Assert.Contains("0 Errors", said, StringComparison.Ordinal);
        Assert.Equal(iasl.ReadBytes("rsdp.aml"), rsdp);
    }
}
