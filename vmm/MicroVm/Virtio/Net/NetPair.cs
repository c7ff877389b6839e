using System.Diagnostics;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Net;

/// <summary>Told when the host's end of a network device works again or no more; on the device's thread.</summary>
internal interface ILinkObserver
{
    /// <summary>A transfer failed with this error number, or succeeded: 0.</summary>
    void OnTransfer(int error);
}

/// <summary>A pair of queues on an event loop, for as long as an activation lasts. A turn moves a limited number of frames; no side waits for the other.</summary>
internal sealed class NetPair(EventLoop loop, HostTap tap, NetReceiver? receiver, NetTransmitter? transmitter, IVirtioTransport transport, ILinkObserver link) : IEventHandler
{
    private const int ReceiveKick = 0, TransmitKick = 1, Tap = 2;
    // Frames of a burst share an interrupt, but none waits longer than this for those behind it.
    private static readonly long SignalTicks = Stopwatch.Frequency / 20_000;

    private volatile bool _stopping;
    private bool _starved, _receiveBroken, _transmitBroken, _lost;

    internal void Start()
    {
        if (receiver is not null) loop.Add(receiver.Queue.Setup.Kick.Fd, this, ReceiveKick);
        if (transmitter is not null) loop.Add(transmitter.Queue.Setup.Kick.Fd, this, TransmitKick);
        loop.Add(tap.Fd, this, Tap);
        if (receiver is null) loop.Want(tap.Fd, readable: false);
    }

    /// <summary>Returns once the frame under way is done; no other is begun.</summary>
    internal void Stop()
    {
        _stopping = true;
        if (receiver is not null) loop.Remove(receiver.Queue.Setup.Kick.Fd);
        if (transmitter is not null) loop.Remove(transmitter.Queue.Setup.Kick.Fd);
        loop.Remove(tap.Fd);
    }

    public void OnReady(int token)
    {
        if (token == ReceiveKick) receiver!.Queue.Setup.Kick.Drain();
        else if (token == TransmitKick) transmitter!.Queue.Setup.Kick.Drain();
        if (_stopping) return;
        bool starved = _starved, blocked = transmitter is { Blocked: true };
        if (token == TransmitKick ? !blocked : token == Tap && blocked) Transmit();
        if (token == ReceiveKick ? starved : token == Tap && !starved) Receive();
        // Neither was waited for: an interface that is gone says so all the time.
        if (token == Tap && starved && !blocked && HostIo.HasFailed(tap.Fd)) Note(Libc.EBADFD);
        if (_starved != starved || transmitter is { Blocked: true } != blocked) Listen();
    }

    private void Receive()
    {
        if (receiver is null || _receiveBroken || _lost) return;
        Virtqueue queue = receiver.Queue;
        long since = Stopwatch.GetTimestamp();
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
            if (Stopwatch.GetTimestamp() - since < SignalTicks) continue;
            Signal(queue);
            since = Stopwatch.GetTimestamp();
        }
        Signal(queue);
        if (queue.Fault != QueueFault.None) Report(queue, ref _receiveBroken);
    }

    private void Transmit()
    {
        if (transmitter is null || _transmitBroken) return;
        Virtqueue queue = transmitter.Queue;
        queue.SuppressKicks();
        int budget = QueueService.Budget;
        long since = Stopwatch.GetTimestamp();
        do
        {
            while (budget > 0 && !_stopping && transmitter.Step(out int error))
            {
                budget--;
                Note(error);
                if (Stopwatch.GetTimestamp() - since < SignalTicks) continue;
                Signal(queue);
                since = Stopwatch.GetTimestamp();
            }
        }
        while (budget > 0 && !_stopping && !transmitter.Blocked && queue.EnableKicks());
        Signal(queue);
        if (queue.Fault != QueueFault.None) Report(queue, ref _transmitBroken);
        else if (budget <= 0) queue.Setup.Kick.Signal();
    }

    // While the guest has no buffers, frames wait in the tap and its kick comes; while the tap is full, frames wait in the queue.
    private void Listen()
    {
        if (!_lost) loop.Want(tap.Fd, readable: receiver is not null && !_starved, writable: transmitter is { Blocked: true });
    }

    private void Note(int error)
    {
        if (error == Libc.EAGAIN) return;
        link.OnTransfer(error);
        // An interface that is gone stays ready for ever: nobody waits for it any more.
        if (_lost || !IsFinal(error)) return;
        _lost = true;
        loop.Remove(tap.Fd);
    }

    /// <summary>Whether the host's end is gone for good; one that is down (EIO) may come back.</summary>
    internal static bool IsFinal(int error) => error is Libc.EBADFD or Libc.EBADF or Libc.EPIPE or Libc.ENODEV or Libc.ECONNRESET or Libc.ENOTCONN;

    private void Signal(Virtqueue queue)
    {
        if (queue.TakeSignal()) transport.Signal(queue.Setup.Index);
    }

    private void Report(Virtqueue queue, ref bool reported)
    {
        if (reported) return;
        reported = true;
        transport.QueueBroken(queue.Setup.Index, queue.Fault);
    }
}
