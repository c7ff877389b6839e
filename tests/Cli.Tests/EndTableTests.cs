using System.Text.RegularExpressions;
using MicroVm.Cli.Control;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>The table of the README: each way in which a machine ends, and no other. Lab case 12 makes a stock guest end
/// in each of those that a guest can.</summary>
public sealed partial class EndTableTests
{
    [Fact]
    public void Every_reason_has_its_row_and_every_row_its_reason()
    {
        string[] rows = [.. Repository.Text("README.md").Split('\n').Where(static l => Row().IsMatch(l))];
        Assert.Equal(
            Enum.GetValues<EndReason>().Select(ControlCommands.NameOf).Order(StringComparer.Ordinal),
            rows.Select(static r => Row().Match(r).Groups["reason"].Value).Order(StringComparer.Ordinal));
        foreach (string row in rows)
        {
            Match m = Row().Match(row);
            string expected = m.Groups["reason"].Value switch
            {
                "guest-exit" => "the byte",
                "power-off" or "reset" => "0",
                "panic" or "emergency-restart" or "crash" => $"{MachineResult.CrashedCode}",
                "device-lost" or "host-refused" => $"{MachineResult.StoppedCode}",
                _ => $"{MachineResult.StoppedCode}; 130; 143, 130, 129",
            };
            Assert.Equal(expected, m.Groups["code"].Value);
        }
    }

    [GeneratedRegex(@"^\| .* \| (?<code>[^|]+) \| `(?<reason>[a-z-]+)` \|$")]
    private static partial Regex Row();
}
