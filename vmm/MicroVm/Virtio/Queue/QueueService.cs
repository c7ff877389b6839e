using MicroVm.Events;

namespace MicroVm.Virtio.Queue;

/// <summary>What a device does with one chain.</summary>
internal interface IChainHandler
{
    /// <summary>Serves the request and says how many bytes it wrote. False if the chain has no room for an answer: the queue is then broken.</summary>
    bool Serve(ref Chain chain, out uint written);
}

/// <summary>Serves one queue on an event loop for as long as an activation lasts.</summary>
internal sealed class QueueService(EventLoop loop, Virtqueue queue, IChainHandler handler, IVirtioTransport transport) : IEventHandler
{
    /// <summary>Chains per turn of the loop; then others get their turn.</summary>
    internal const int Budget = 128;

    private volatile bool _stopping;
    private bool _reported;

    internal Virtqueue Queue => queue;

    internal void Start() => loop.Add(queue.Setup.Kick.Fd, this, edge: true);

    /// <summary>Returns once the request under way is done; no other is begun.</summary>
    internal void Stop()
    {
        _stopping = true;
        loop.Remove(queue.Setup.Kick.Fd);
    }

    public void OnReady(int token)
    {
        if (_reported || _stopping) return;
        queue.SuppressKicks();
        int budget = Budget;
        SignalPace pace = new(firstAtOnce: false);
        do
        {
            while (!_stopping && budget-- > 0 && queue.TryPop(out Chain chain))
            {
                if (handler.Serve(ref chain, out uint written)) queue.Push(chain.Head, written);
                else queue.Break(QueueFault.NoRoomForAnswer);
                if (pace.IsDue()) Signal();
            }
        }
        while (!_stopping && budget > 0 && queue.EnableKicks());
        Signal();
        if (queue.Fault != QueueFault.None) Report();
        else if (budget <= 0) queue.Setup.Kick.Signal();
    }

    private void Signal()
    {
        if (queue.TakeSignal()) transport.Signal(queue.Setup.Index);
    }

    private void Report()
    {
        _reported = true;
        transport.QueueBroken(queue.Setup.Index, queue.Fault);
    }
}
