using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>A receive queue for as long as an activation lasts: brings what waits and the guest's buffers together, whichever comes first.</summary>
internal sealed class ConsoleReceiver(EventLoop loop, Virtqueue queue, IWaiting input, IVirtioTransport transport) : IEventHandler
{
    private volatile bool _stopping;
    private bool _reported;

    internal void Start()
    {
        loop.Add(queue.Setup.Kick.Fd, this, edge: true);
        loop.Add(input.Arrived.Fd, this, edge: true);
        // What came before the driver did.
        input.Arrived.Signal();
    }

    internal void Stop()
    {
        _stopping = true;
        loop.Remove(queue.Setup.Kick.Fd);
        loop.Remove(input.Arrived.Fd);
    }

    public void OnReady(int token)
    {
        if (_stopping || _reported) return;
        // Without bytes to give, the guest's buffers are of no interest.
        queue.SuppressKicks();
        int budget = QueueService.Budget;
        do
        {
            while (budget-- > 0 && !input.IsEmpty && queue.TryPop(out Chain chain)) queue.Push(chain.Head, input.MoveTo(ref chain.Writable));
        }
        while (budget > 0 && !input.IsEmpty && queue.EnableKicks());
        if (queue.TakeSignal()) transport.Signal(queue.Setup.Index);
        if (queue.Fault != QueueFault.None) Report();
        else if (budget <= 0) input.Arrived.Signal();
    }

    private void Report()
    {
        _reported = true;
        transport.QueueBroken(queue.Setup.Index, queue.Fault);
    }
}
