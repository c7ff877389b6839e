using MicroVm.Tests.Virtio.Lives;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Row Q14: a reset at every step, with requests of every device that may have some for long. What came of
/// them is nobody's:
/// nothing is written to where they lay, and nothing into the queues of the next driver.</summary>
public sealed class ResetTests
{
    private static readonly string[] s_devices = ["disk", "net", "vsock", "console"];

    public static TheoryData<string, Step> EveryStep
    {
        get
        {
            TheoryData<string, Step> cases = [];
            foreach (string device in s_devices) foreach (Step step in Enum.GetValues<Step>()) cases.Add(device, step);
            return cases;
        }
    }

    public static TheoryData<string> Devices => [.. s_devices, "file", "file on threads"];

    [Theory]
    [MemberData(nameof(EveryStep))]
    public void Q14_nothing_of_what_a_reset_ended_is_written_anywhere(string device, Step step)
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        foreach (uint size in (uint[])[1, 8])
        {
            foreach (bool lateFirst in (bool[])[true, false])
            {
                using DeviceLife life = Make(device, random);
                life.Live(step);
                life.Driver.Reset();
                life.Bury();
                if (lateFirst) life.Late();
                life.Begin(size);
                if (!lateFirst) life.Late();
                life.Serve();
                Assert.True(life.IsUntouched, $"seed {seed}: memory of the life before was written");
                Assert.False(life.Driver.NeedsReset);
            }
        }
    }

    // Between two steps as well: the reset comes at any moment after the doorbells.
    [Theory]
    [MemberData(nameof(Devices))]
    public void Q14_a_reset_at_any_moment_of_much_traffic(string device)
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int i = 0; i < 40; i++)
        {
            using DeviceLife life = Make(device, random);
            life.Live(Step.Kicked);
            Thread.SpinWait(random.Next(50_000));
            life.Driver.Reset();
            life.Bury();
            life.Late();
            life.Begin(1u << random.Next(6));
            life.Serve();
            Assert.True(life.IsUntouched, $"seed {seed}, life {i}: memory of the life before was written");
        }
    }

    private static DeviceLife Make(string device, Random random) => device switch
    {
        "disk" => new DiskLife(random),
        "net" => new NetLife(random),
        "vsock" => new VsockLife(random),
        "file" => new FileLife(random, DiskEngine.IoUring),
        "file on threads" => new FileLife(random, DiskEngine.Threads),
        _ => new ConsoleLife(random),
    };
}
