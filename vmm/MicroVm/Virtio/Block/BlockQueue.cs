using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Block;

/// <summary>Serves one queue of a disk on a thread of its own for as long as an activation lasts: takes requests, has an engine do them, answers them in the order in which they are done.</summary>
/// <remarks>A turn goes on until neither the driver nor the host has anything new; meanwhile both are told not to say so. It allocates nothing per request.</remarks>
internal sealed class BlockQueue(EventLoop loop, Virtqueue queue, BlockDisk disk, ulong features, IVirtioTransport transport) : IEventHandler
{
    private const int Kick = 0, Done = 1, Time = 2;

    private readonly TransferVectors _vectors = new(queue.Setup.Size, BlockDisk.Segments);
    private readonly BlockRequests _requests = new(queue.Setup.Size);
    private readonly ManualResetEventSlim _ended = new();
    private EventFd? _completed;
    private HostTimer? _timer;
    private BlockCommands? _commands;
    private IBlockEngine? _engine;
    private volatile bool _stopping;
    private bool _started, _throttled, _reported, _answered;
    private ulong _fileEnd;

    /// <summary>Begins to listen.</summary>
    /// <exception cref="MicroVmException">The host has no file descriptors or no thread left; to be stopped then too.</exception>
    internal void Start()
    {
        _completed = new EventFd();
        if (disk.Limiter is not null) _timer = new HostTimer();
        if (_timer is not null) loop.Add(_timer.Fd, this, Time, edge: true);
        loop.Add(_completed.Fd, this, Done, edge: true);
        loop.Add(queue.Setup.Kick.Fd, this, Kick, edge: true);
        _started = true;
    }

    /// <summary>Returns once nothing of it is under way in the host, and nothing more is answered: what was under way has ended, and its results are dropped.</summary>
    internal void Stop()
    {
        _stopping = true;
        if (_started)
        {
            queue.Setup.Kick.Signal();
            _ended.Wait();
        }
        loop.Remove(queue.Setup.Kick.Fd);
        if (_completed is not null) loop.Remove(_completed.Fd);
        if (_timer is not null) loop.Remove(_timer.Fd);
        _engine?.Dispose();
        _timer?.Dispose();
        _completed?.Dispose();
        _vectors.Dispose();
        _ended.Dispose();
    }

    public void OnReady(int token)
    {
        if (_ended.IsSet) return;
        try
        {
            Turn(token);
        }
        catch
        {
            // Who stops this queue waits for it, and nothing may be under way then.
            Abandon();
            throw;
        }
    }

    private void Turn(int token)
    {
        // Here, for a ring belongs to the thread that made it.
        IBlockEngine engine = _engine ??= disk.OpenEngine(_vectors, queue.Setup.Size, _completed!);
        _commands ??= new BlockCommands(disk.File, _vectors, features, disk.Config);
        if (token == Time) _throttled = false;
        if (!_stopping) Serve(engine);
        if (_stopping) Drain(engine);
    }

    private void Serve(IBlockEngine engine)
    {
        engine.Silence();
        queue.SuppressKicks();
        SignalPace pace = new(firstAtOnce: false);
        while (!_stopping)
        {
            bool moved = Collect(engine);
            engine.Submit();
            moved |= Reap(engine);
            Publish();
            if (moved)
            {
                if (pace.IsDue()) Signal();
                continue;
            }
            Signal();
            if (!_throttled && queue.EnableKicks()) queue.SuppressKicks();
            else if (engine.Listen()) engine.Silence();
            else break;
        }
        if (queue.Fault == QueueFault.None || _reported) return;
        _reported = true;
        transport.QueueBroken(queue.Setup.Index, queue.Fault);
    }

    // Takes what the driver has made available, as far as the limits allow; true if there was something.
    private bool Collect(IBlockEngine engine)
    {
        _fileEnd = 0;
        int taken = 0;
        while (taken < engine.Batch && !_throttled && !_stopping && queue.TryPop(out Chain chain))
        {
            if (!chain.Writable.TryTakeLastByte(out HostRange answer))
            {
                queue.Break(QueueFault.NoRoomForAnswer);
                break;
            }
            int row = _requests.Take();
            ref BlockRequest request = ref _requests[row];
            (request.Head, request.Answer) = (chain.Head, answer);
            VirtioBlockStatus? status = _commands!.Read(ref chain, row, ref request);
            if (status is null && MustWait(request))
            {
                _requests.Release(row);
                queue.UndoPop();
                break;
            }
            taken++;
            if (status is null && !IsInFile(request)) status = VirtioBlockStatus.IoErr;
            if (status is { } known) Answer(row, known);
            else engine.Begin(request, row);
        }
        return taken != 0;
    }

    private bool MustWait(in BlockRequest request)
    {
        if (_timer is null || disk.Limiter!.TryTake(request.Operation.IsTransfer() ? request.Left : 0, RateLimiter.Now, out long wait)) return false;
        _throttled = true;
        _timer.Set(wait);
        return true;
    }

    // Somebody may have cut the file short: then nothing that the guest writes makes it longer. Asked once for all that is taken together.
    private bool IsInFile(in BlockRequest request)
    {
        if (request.Operation is BlockOperation.Read or BlockOperation.Flush) return true;
        if (_fileEnd == 0) _fileEnd = disk.File.PresentEnd();
        return request.Offset + request.Left <= _fileEnd;
    }

    private bool Reap(IBlockEngine engine)
    {
        bool any = false;
        while (engine.TryTake(out ulong id, out long result))
        {
            any = true;
            if (!_requests.TryFind(id, out int row)) continue;
            ref BlockRequest request = ref _requests[row];
            if (BlockSteps.Next(ref request, result, _vectors, row) is { } status) Answer(row, status, result);
            else engine.Begin(request, row);
        }
        return any;
    }

    private void Answer(int row, VirtioBlockStatus status, long result = 0)
    {
        ref BlockRequest request = ref _requests[row];
        if (status == VirtioBlockStatus.IoErr && result < 0) disk.Errors.Note(request.Operation, (int)-result);
        request.Answer.Store(0, (byte)status);
        queue.Put(request.Head, (status == VirtioBlockStatus.Ok ? request.Written : 0) + 1);
        _requests.Release(row);
        _answered = true;
    }

    private void Publish()
    {
        if (_answered) queue.Publish();
        _answered = false;
    }

    private void Signal()
    {
        if (queue.TakeSignal()) transport.Signal(queue.Setup.Index);
    }

    private void Abandon()
    {
        try
        {
            if (_engine is { } engine) Drain(engine);
        }
        finally
        {
            _ended.Set();
        }
    }

    // The driver has reset the device: what is still on its way may not touch guest memory any more, and answers nobody.
    private void Drain(IBlockEngine engine)
    {
        if (_requests.Count != 0) engine.Cancel();
        while (_requests.Count != 0)
        {
            while (engine.TryTake(out ulong id, out _))
            {
                if (_requests.TryFind(id, out int row)) _requests.Release(row);
            }
            if (_requests.Count != 0) engine.Wait();
        }
        _ended.Set();
    }
}
