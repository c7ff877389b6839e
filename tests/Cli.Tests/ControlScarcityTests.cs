using System.Text.Json.Nodes;
using MicroVm.Tests;
using MicroVm.Tests.Scarce;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>Rows R2 and R3 while a machine runs: clients of the control socket that come when there are no descriptors
/// or no threads left.</summary>
public sealed class ControlScarcityTests
{
    [Fact]
    public void R2_a_client_waits_while_there_is_no_descriptor_for_it_and_one_that_is_there_is_answered() =>
        Child.Run(WithoutDescriptors);

    [Fact]
    public void R3_a_client_is_refused_while_there_is_no_thread_for_it_and_one_that_is_there_is_answered() =>
        Child.Run(WithoutThreads, "", Scarcity.AsAnybody);

    private static void WithoutDescriptors(string none)
    {
        using ControlTarget target = new();
        using ControlClient there = target.Connect();
        there.Works();
        ControlClient late;
        // The one that is left is the client's own.
        using (Scarcity.OfDescriptors(1))
        {
            late = target.Connect();
            for (int i = 0; i < 100; i++) there.Works();
        }
        late.Works();
        late.Dispose();
        using ControlClient next = target.Connect();
        next.Works();
    }

    private static void WithoutThreads(string none)
    {
        using ControlTarget target = new();
        using ControlClient there = target.Connect();
        there.Works();
        using (Scarcity.OfThreads())
        {
            for (int i = 0; i < 20; i++)
            {
                using ControlClient late = target.Connect();
                JsonNode answer = JsonNode.Parse(late.ReadLine()!)!;
                Assert.Equal((false, 125), (answer["ok"]!.GetValue<bool>(), answer["code"]!.GetValue<int>()));
                Assert.Contains("ulimit -u", answer["error"]!.GetValue<string>(), StringComparison.Ordinal);
                Assert.Null(late.ReadLine());
                there.Works();
            }
        }
        // More of them than there may be at once were refused: none of them counts any more.
        using ControlClient next = target.Connect();
        next.Works();
    }
}
