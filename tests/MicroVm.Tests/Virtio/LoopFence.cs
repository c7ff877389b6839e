using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Waits until a loop has handled all that was ready before. What it calls it calls in the order in which it
/// became ready.</summary>
internal sealed class LoopFence : IEventHandler
{
    private readonly ManualResetEventSlim _passed = new();

    internal static void Pass(EventLoop loop)
    {
        using EventFd marker = new();
        LoopFence fence = new();
        loop.Add(marker.Fd, fence, edge: true);
        marker.Signal();
        bool passed = fence._passed.Wait(TimeSpan.FromSeconds(30));
        loop.Remove(marker.Fd);
        Assert.True(passed, "the loop stands still");
    }

    public void OnReady(int token) => _passed.Set();
}
