using System.IO.Pipes;
using MicroVm.Diagnostics;
using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Diagnostics;

public class GuestErrorsTests
{
    [Fact]
    public void Ten_lines_in_five_seconds_then_a_count()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new((int)reader.ClientSafePipeHandle.DangerousGetHandle(), "test");
        long now = 1000;
        GuestErrors errors = new(pump, () => now);
        for (int i = 0; i < 100; i++) errors.Report("virtio-block", 2, "available index jumped", "queue", 31);
        now += 5000;
        errors.Report("bus", -1, "strange");
        Assert.Equal((101, 90), (errors.Count, errors.Suppressed));
        Assert.True(pump.TryFlush(TimeSpan.FromSeconds(5)));
        pump.Dispose();
        reader.DisposeLocalCopyOfClientHandle();
        string[] lines = new StreamReader(reader).ReadToEnd().Split('\n');
        Assert.Equal(13, lines.Length);
        Assert.Equal("microvm: guest error: virtio-block[2]: available index jumped, queue 0x1f", lines[0]);
        Assert.Equal("microvm: guest errors: 90 more, not shown", lines[10]);
        Assert.Equal("microvm: guest error: bus: strange", lines[11]);
    }

    [Fact]
    public void Reporting_allocates_nothing()
    {
        using OutputPump pump = new(-1, "test");
        long now = 0;
        GuestErrors errors = new(pump, () => now += 1000);
        errors.Report("a", 1, "b", "c", 1);
        Assert.Equal(0, Allocations.Least(() =>
        {
            for (int i = 0; i < 10_000; i++) errors.Report("a", 1, "b", "c", 1);
        }));
    }
}
