using System.Text.RegularExpressions;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Virtio;
using Xunit;

namespace MicroVm.Tests.Events;

/// <summary>No exception on a thread of the monitor's ends the process: the thread's owner hears of it.</summary>
public sealed class ThreadTests : IThreadOwner
{
    private readonly List<(string Thread, Exception Failure)> _failures = [];
    private readonly ManualResetEventSlim _told = new();

    void IThreadOwner.OnFailure(string thread, Exception failure)
    {
        lock (_failures) _failures.Add((thread, failure));
        _told.Set();
    }

    [Fact]
    public void What_a_thread_throws_its_owner_hears()
    {
        InvalidOperationException failure = new("on purpose");
        HostThread.Start(() => throw failure, "thrower", this).Join();
        Assert.Equal(("thrower", failure), Assert.Single(_failures));
    }

    [Fact]
    public void A_handler_that_throws_is_not_called_again_and_the_others_are_served()
    {
        using EventLoop loop = new("shared", this);
        using EventFd bad = new(), alsoBad = new(), good = new();
        int served = 0, thrown = 0;
        Handler thrower = new(_ =>
        {
            Interlocked.Increment(ref thrown);
            throw new InvalidOperationException("on purpose");
        });
        Handler other = new(_ =>
        {
            good.Drain();
            Interlocked.Increment(ref served);
        });
        loop.Add(bad.Fd, thrower);
        loop.Add(alsoBad.Fd, thrower, 1);
        loop.Add(good.Fd, other);
        bad.Signal();
        Assert.True(_told.Wait(10_000));
        alsoBad.Signal();
        for (int i = 1; i <= 3; i++)
        {
            good.Signal();
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref served) == i, 10_000));
        }
        Assert.Equal(1, thrown);
        Assert.Equal("shared", Assert.Single(_failures).Thread);
        loop.Remove(bad.Fd); // which is gone already
    }

    [Fact]
    public void A_machine_ends_by_the_name_of_the_thread_and_a_refusal_of_the_host_by_its_own_words()
    {
        MachineEnd end = new();
        ((IThreadOwner)end).OnFailure("virtio-net", new InvalidOperationException("on purpose"));
        Assert.Equal(EndReason.Crash, end.Outcome.Reason);
        Assert.Equal("the monitor failed on thread virtio-net: on purpose", end.Outcome.Description);
        Assert.Contains("InvalidOperationException", end.Outcome.CrashReport, StringComparison.Ordinal);

        MachineEnd refused = new();
        ((IThreadOwner)refused).OnFailure("x", MicroVmException.Host("cannot", "here", "Do something"));
        Assert.Equal(EndReason.HostRefused, refused.Outcome.Reason);
        Assert.Equal("cannot, here. Do something.", refused.Outcome.Description);
    }

    // The rule: HostThread is the one way to a thread, and what is of a machine has it as owner.
    [Fact]
    public void Nothing_else_starts_a_thread()
    {
        Regex starts = new(@"\bnew Thread\b|\bThread \w+ = new\b|Task\.Run\b|Task\.Factory|ThreadPool\.|new Timer\b|Parallel\.|\basync void\b");
        List<string> found = [];
        foreach (string file in Directory.EnumerateFiles(Repository.Full("vmm"), "*.cs", SearchOption.AllDirectories))
        {
            if (file.Contains("/obj/", StringComparison.Ordinal)) continue;
            foreach (string line in File.ReadLines(file))
            {
                string code = line.Split("//")[0];
                if (starts.IsMatch(code)) found.Add($"{Path.GetFileName(file)}: {code.Trim()}");
            }
        }
        // Machine.RunAsync has its caller's task to throw to.
        Assert.Equal(["HostThread.cs", "Machine.cs"],
            found.Select(static f => f.Split(':')[0]).Order(StringComparer.Ordinal));
    }

    // Outside a machine a failure ends the process; nothing of the monitor may be left to that.
    [Fact]
    public void Nothing_of_a_machine_is_left_without_an_owner()
    {
        string[] may = ["IThreadOwner.cs", "VirtioDevice.cs", "NetPairs.cs", "BufferedOutput.cs", "HotplugUnits.cs"];
        IEnumerable<string> named = Directory.EnumerateFiles(Repository.Full("vmm"), "*.cs", SearchOption.AllDirectories)
            .Where(static f => !f.Contains("/obj/", StringComparison.Ordinal) && File.ReadAllText(f).Contains("ThreadOwner.Process", StringComparison.Ordinal))
            .Select(static f => Path.GetFileName(f)!);
        Assert.Empty(named.Except(may));
    }

    [Fact]
    public void A_device_that_a_machine_makes_has_its_owner()
    {
        using EventLoop loop = new("devices", this);
        using OutputPump log = new(-1, "none");
        VirtioFactory factory = new(new Lazy<EventLoop>(loop), log, new HostNotes(null), cpus: 1, this);
        foreach (VirtioOptions options in (VirtioOptions[])[new RngOptions(), new BalloonOptions(), new MemOptions(128 << 20)])
        {
            using VirtioDevice device = factory.Make(options);
            Assert.Same(this, device.Owner);
            // Of which the device tells it.
            InvalidOperationException failure = new("on purpose");
            ((IThreadOwner)device).OnFailure(device.Name, failure);
            Assert.Equal((device.Name, failure), _failures[^1]);
        }
    }

    private sealed class Handler(Action<int> ready) : IEventHandler
    {
        public void OnReady(int token) => ready(token);
    }
}
