using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.VhostUser;

/// <summary>What a backend serves from an activation to its reset. Outlives the backend's process: the next one goes on with it.</summary>
internal sealed class BackendRun : IDisposable
{
    private readonly QueueSetup?[] _queues;
    private readonly EventFd?[] _calls;

    /// <summary>Under the gate, in the device's activation.</summary>
    /// <param name="context">What the driver set up.</param>
    /// <param name="transport">Where interrupts go.</param>
    /// <param name="broken">Signalled by a backend that finds a queue broken.</param>
    internal BackendRun(in ActivationContext context, IVirtioTransport transport, EventFd broken)
    {
        (Memory, Features, Transport, Broken) = (context.Memory, context.Features, transport, broken);
        _queues = new QueueSetup?[context.Queues.Count];
        _calls = new EventFd?[_queues.Length];
        for (int i = 0; i < _queues.Length; i++)
        {
            if (context.Queues[i] is not { } queue) continue;
            _queues[i] = queue;
            _calls[i] = transport.CallEvent(i);
        }
    }

    internal GuestMemory Memory { get; }

    /// <summary>Features agreed on.</summary>
    internal ulong Features { get; }

    internal IVirtioTransport Transport { get; }

    /// <summary>Signalled by a backend that finds a queue broken.</summary>
    internal EventFd Broken { get; }

    /// <summary>One for each queue of the device; null where the driver set none up.</summary>
    internal ReadOnlySpan<QueueSetup?> Queues => _queues;

    /// <summary>A backend had it before, and may have served some of it.</summary>
    internal bool HasBegun { get; set; }

    /// <summary>Requests under way, where backends keep a record of them.</summary>
    internal InflightRecord? Inflight { get; set; }

    /// <summary>The event that interrupts the driver for a queue.</summary>
    internal EventFd Call(int queue) => _calls[queue]!;

    /// <summary>The driver looks at all its queues: what a backend finished before it died was perhaps never announced.</summary>
    internal void CallAll()
    {
        foreach (EventFd? call in _calls) call?.Signal();
    }

    public void Dispose() => Inflight?.Dispose();
}
