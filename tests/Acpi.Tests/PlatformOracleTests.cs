using System.Text.RegularExpressions;

namespace Acpi.Tests;

/// <summary>The whole of what the guest is told, held against ACPICA's disassembler, compiler and interpreter.</summary>
public sealed class PlatformOracleTests
{
    [OracleTheory]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 16)]
    [InlineData(64, 31)]
    [InlineData(254, 32)]
    [InlineData(300, 32)]
    public void EveryTableDisassemblesAndCompilesClean(int cpus, int virtio)
    {
        PlatformTables built = PlatformTables.Build(cpus, virtio);
        using var iasl = new Iasl();
        foreach ((string signature, byte[] table) in built.Tables)
        {
            iasl.Write($"{signature}.dat", table);
            string said = iasl.Run("iasl", "-d", $"{signature}.dat");
            Assert.True(iasl.Exists($"{signature}.dsl"), said);
            Assert.DoesNotContain("Incorrect checksum", said, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotMatch(new Regex("(?i)(warning|error|invalid|unknown)[^s]"), said);
            string text = iasl.Read($"{signature}.dsl");
            Assert.DoesNotContain("Incorrect checksum", text, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("should be", text, StringComparison.OrdinalIgnoreCase);
            string compiled = iasl.Run("iasl", "-oa", "-p", $"{signature}2", $"{signature}.dsl");
            Assert.True(Regex.IsMatch(compiled, "0 Errors, 0 Warnings"), $"{signature}: {compiled}");
        }
    }
}
