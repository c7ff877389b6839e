using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Balloon;

/// <summary>The guest's own figures of its memory. The driver gives one buffer with them; to get new ones the device gives it back and the driver fills it again (Virtio 1.2, 5.5.6.3).</summary>
internal sealed class BalloonStatistics : IEventHandler, IDisposable
{
    private const int KickToken = 0, AskToken = 1, TimerToken = 2;
    private const int Known = (int)VirtioBalloonTag.HugePageFailures + 1;
    // Of a buffer's entries that many are read: there are ten kinds, and a driver may know more.
    private const int MaxEntries = 64;

    private readonly EventLoop _loop;
    private readonly EventFd _ask = new();
    private readonly HostTimer? _timer;
    private readonly long _interval;
    private readonly object _gate = new();
    private readonly ulong[] _values = new ulong[Known];
    private uint _present;
    private long _updates;
    private Virtqueue? _queue;
    private IVirtioTransport? _transport;
    private int _held = -1;
    private bool _reported;

    /// <param name="loop">Where it is served.</param>
    /// <param name="seconds">How often the guest is asked by itself; 0 for only when somebody wants to know.</param>
    internal BalloonStatistics(EventLoop loop, uint seconds)
    {
        _loop = loop;
        _interval = seconds * 1_000_000_000L;
        if (seconds == 0) return;
        try
        {
            _timer = new HostTimer();
        }
        catch
        {
            _ask.Dispose();
            throw;
        }
    }

    /// <summary>Serves a queue until <see cref="Stop"/>.</summary>
    internal void Start(Virtqueue queue, IVirtioTransport transport)
    {
        (_queue, _transport, _held, _reported) = (queue, transport, -1, false);
        _ = _ask.Drain();
        _loop.Add(queue.Setup.Kick.Fd, this, KickToken);
        _loop.Add(_ask.Fd, this, AskToken);
        if (_timer is null) return;
        _loop.Add(_timer.Fd, this, TimerToken, edge: true);
        _timer.Set(_interval);
    }

    /// <summary>When this returns the queue is not touched any more.</summary>
    internal void Stop()
    {
        if (_queue is not { } queue) return;
        _loop.Remove(queue.Setup.Kick.Fd);
        _loop.Remove(_ask.Fd);
        if (_timer is not null) _loop.Remove(_timer.Fd);
        lock (_gate)
        {
            _queue = null;
            _present = 0;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>The guest's figures, new ones if it answers in time; empty if it has given none. Not on the loop's thread.</summary>
    internal IReadOnlyList<(VirtioBalloonTag Tag, ulong Value)> Ask(int milliseconds)
    {
        lock (_gate)
        {
            if (_queue is not null)
            {
                long before = _updates, end = Environment.TickCount64 + milliseconds;
                _ask.Signal();
                while (_updates == before && _queue is not null && end - Environment.TickCount64 is > 0 and long left) Monitor.Wait(_gate, (int)left);
            }
            List<(VirtioBalloonTag, ulong)> known = [];
            for (int tag = 0; tag < Known; tag++)
            {
                if ((_present >> tag & 1) != 0) known.Add(((VirtioBalloonTag)tag, _values[tag]));
            }
            return known;
        }
    }

    public void OnReady(int token)
    {
        if (_queue is not { } queue) return;
        if (token == TimerToken) _timer!.Set(_interval);
        if (token == AskToken) _ = _ask.Drain();
        if (token == KickToken) Take(queue);
        else GiveBack(queue);
        if (queue.TakeSignal()) _transport!.Signal(queue.Setup.Index);
        if (queue.Fault == QueueFault.None || _reported) return;
        _reported = true;
        _transport!.QueueBroken(queue.Setup.Index, queue.Fault);
    }

    private void Take(Virtqueue queue)
    {
        _ = queue.Setup.Kick.Drain();
        // A driver has one buffer; of one that gives more the last is kept and no more are taken in one turn than the queue has.
        int budget = queue.Setup.Size;
        do
        {
            while (budget-- > 0 && queue.TryPop(out Chain chain))
            {
                Read(ref chain.Readable);
                GiveBack(queue);
                _held = chain.Head;
                queue.Hold(chain.Head);
            }
        }
        while (budget > 0 && queue.EnableKicks());
        if (budget <= 0) queue.Setup.Kick.Signal();
    }

    private void GiveBack(Virtqueue queue)
    {
        if (_held >= 0) queue.Push((ushort)_held, 0);
        _held = -1;
    }

    private void Read(ref Segments data)
    {
        VirtioBalloonStatistic entry = default;
        lock (_gate)
        {
            _present = 0;
            for (int i = 0; i < MaxEntries && data.TryTake(MemoryMarshal.AsBytes(new Span<VirtioBalloonStatistic>(ref entry))); i++)
            {
                if (entry.Tag >= Known) continue;
                _values[entry.Tag] = entry.Value;
                _present |= 1u << entry.Tag;
            }
            _updates++;
            Monitor.PulseAll(_gate);
        }
    }

    public void Dispose()
    {
        Stop();
        _ask.Dispose();
        _timer?.Dispose();
    }
}
