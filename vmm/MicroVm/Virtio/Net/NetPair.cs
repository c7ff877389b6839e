using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Net;

/// <summary>Told when the host's end of a network device works again or no more; on the device's threads.</summary>
internal interface ILinkObserver
{
    /// <summary>A transfer failed with this error number, or succeeded: 0.</summary>
    void OnTransfer(int error);

    /// <summary>The end works, 0, or is down or gone.</summary>
    void OnState(int error);
}

/// <summary>A pair of queues on an event loop, for as long as an activation lasts. A turn moves a limited number of frames; no side waits for the other.</summary>
internal sealed class NetPair(EventLoop loop, INetEnd end, NetReceiver? receiver, NetTransmitter? transmitter, IVirtioTransport transport, ILinkObserver link, NetTimers? timers) : IEventHandler
{
    private const int ReceiveKick = 0, TransmitKick = 1, End = 2, ReceiveTimer = 3, TransmitTimer = 4;

    private volatile bool _stopping;
    private bool _starved, _receiveBroken, _transmitBroken, _lost;

    /// <summary>Starts, or starts again where it stopped.</summary>
    internal void Start()
    {
        _stopping = _lost = false;
        if (receiver is not null) loop.Add(receiver.Queue.Setup.Kick.Fd, this, ReceiveKick, edge: true);
        if (transmitter is not null) loop.Add(transmitter.Queue.Setup.Kick.Fd, this, TransmitKick, edge: true);
        loop.Add(end.Fd, this, End);
        if (timers is not null)
        {
            loop.Add(timers.Receive.Fd, this, ReceiveTimer, edge: true);
            loop.Add(timers.Transmit.Fd, this, TransmitTimer, edge: true);
            // One that went off meanwhile went off for nobody.
            if (receiver is { Wait: > 0 } r) timers.Receive.Set(r.Wait);
            if (transmitter is { Wait: > 0 } t) timers.Transmit.Set(t.Wait);
        }
        Listen();
        // What came while it was stopped.
        transmitter?.Queue.Setup.Kick.Signal();
    }

    /// <summary>Returns once the frame under way is done; no other is begun.</summary>
    internal void Stop()
    {
        _stopping = true;
        if (receiver is not null) loop.Remove(receiver.Queue.Setup.Kick.Fd);
        if (transmitter is not null) loop.Remove(transmitter.Queue.Setup.Kick.Fd);
        loop.Remove(end.Fd);
        if (timers is null) return;
        loop.Remove(timers.Receive.Fd);
        loop.Remove(timers.Transmit.Fd);
    }

    public void OnReady(int token)
    {
        if (_stopping) return;
        bool starved = _starved, paused = Paused, waiting = Waiting;
        if (token == End && end.HasTail) Note(end.Flush());
        bool sends = token == TransmitTimer || (token == TransmitKick ? transmitter is { Holds: false } : token == End && Blocked);
        if (sends) Transmit();
        // A host answers many a frame while it takes it: the answer then shares the turn, and the interrupt, with what was sent.
        if (token == ReceiveTimer || (!paused && (token == ReceiveKick ? starved || end.HasFrame : !starved && (sends || token == End)))) Receive();
        // Neither was waited for: an end that is gone says so all the time.
        if (token == End && (starved || paused) && !waiting && HostIo.HasFailed(end.Fd)) Note(Libc.EBADFD);
        // Nobody tells any more that there is room: what is held, and all that comes, is dropped and counted.
        if (_lost && Blocked) Transmit();
        Announce();
        if (_starved != starved || Paused != paused || Waiting != waiting) Listen();
    }

    // A frame waits for the limit.
    private bool Paused => receiver is { Wait: > 0 };

    // For room at the host's end.
    private bool Waiting => Blocked || end.HasTail;

    private bool Blocked => transmitter is { Blocked: true };

    private void Receive()
    {
        if (receiver is null || _receiveBroken || (_lost && receiver.Wait == 0)) return;
        Virtqueue queue = receiver.Queue;
        SignalPace pace = new(firstAtOnce: true);
        queue.SuppressKicks();
        _starved = false;
        for (int budget = QueueService.Budget; budget > 0 && !_stopping && !_starved; budget--)
        {
            if (!receiver.Gather())
            {
                _starved = queue.Fault != QueueFault.None || !queue.EnableKicks();
                continue;
            }
            int got = receiver.Step();
            Note(got < 0 ? -got : 0);
            if (got < 0) break;
            if (pace.IsDue()) Announce();
        }
        if (receiver.Wait != 0) timers!.Receive.Set(receiver.Wait);
        if (queue.Fault != QueueFault.None) Report(queue, ref _receiveBroken);
        else if (!_starved && !_lost && receiver.Wait == 0 && end.HasFrame) queue.Setup.Kick.Signal();
    }

    private void Transmit()
    {
        if (transmitter is null || _transmitBroken) return;
        Virtqueue queue = transmitter.Queue;
        queue.SuppressKicks();
        int budget = QueueService.Budget;
        SignalPace pace = new(firstAtOnce: false);
        do
        {
            while (budget > 0 && !_stopping && transmitter.Step(out int error))
            {
                budget--;
                Note(error);
                if (pace.IsDue()) Announce();
            }
        }
        while (budget > 0 && !_stopping && !transmitter.Holds && queue.EnableKicks());
        if (transmitter.Wait != 0) timers!.Transmit.Set(transmitter.Wait);
        if (queue.Fault != QueueFault.None) Report(queue, ref _transmitBroken);
        else if (budget <= 0) queue.Setup.Kick.Signal();
    }

    // While the guest has no buffers, frames wait at the host's end and its kick comes; while that has no room, frames wait in the queue.
    private void Listen()
    {
        if (!_lost) loop.Want(end.Fd, readable: receiver is not null && !_starved && !Paused, writable: Waiting);
    }

    private void Note(int error)
    {
        if (error == Libc.EAGAIN) return;
        link.OnTransfer(error);
        // An end that is gone stays ready for ever: nobody waits for it any more.
        if (_lost || !IsFinal(error)) return;
        _lost = true;
        loop.Remove(end.Fd);
    }

    /// <summary>Whether the host's end is gone for good; one that is down (EIO) may come back.</summary>
    internal static bool IsFinal(int error) => error is Libc.EBADFD or Libc.EBADF or Libc.EPIPE or Libc.ENODEV or Libc.ECONNRESET or Libc.ENOTCONN;

    private void Announce() => Virtqueue.Announce(receiver?.Queue, transmitter?.Queue, transport);

    private void Report(Virtqueue queue, ref bool reported)
    {
        if (reported) return;
        reported = true;
        transport.QueueBroken(queue.Setup.Index, queue.Fault);
    }
}
