using MicroVm.Kvm;

namespace MicroVm.Events;

/// <summary>Something that an <see cref="EventLoop"/> calls when a file descriptor is ready.</summary>
public interface IEventHandler
{
    /// <summary>Handles readiness on the loop's thread. Must not throw for anything that the guest did: one that throws
    /// is not called again, and the loop's owner hears of it.</summary>
    /// <param name="token">What was given to <see cref="EventLoop.Add"/>, for a handler of several descriptors.</param>
    void OnReady(int token);
}

/// <summary>One thread that waits for file descriptors and calls their handlers, one at a time. It allocates nothing while it runs.</summary>
/// <remarks>Lock order: a handler runs with the loop's handler lock held; take block gates before <see cref="Add"/> or <see cref="Remove"/>, never inside a handler.
/// <see cref="Remove"/> waits for a running handler, so after it returns the handler is not called any more.</remarks>
public sealed class EventLoop : IDisposable
{
    private const int BatchSize = 16;

    private readonly Lock _handling = new();
    private readonly EventFd _wake = new();
    private readonly int _epoll;
    private readonly string _name;
    private readonly IThreadOwner _owner;
    private Slot[] _slots = new Slot[8];
    private Thread? _thread;
    private volatile bool _stopping;

    /// <summary>Makes a loop whose thread starts with the first descriptor.</summary>
    /// <param name="name">Name of the thread.</param>
    /// <param name="owner">Hears of a handler that throws.</param>
    public EventLoop(string name, IThreadOwner owner)
    {
        (_name, _owner) = (name, owner);
        _epoll = Libc.epoll_create1(Libc.EPOLL_CLOEXEC);
        if (_epoll < 0)
        {
            string why = Libc.Describe(Libc.Errno);
            _wake.Dispose();
            throw MicroVmException.Host("cannot make an event loop", why, "Raise the limit of open files (ulimit -n)");
        }
        Control(Libc.EPOLL_CTL_ADD, _wake.Fd, uint.MaxValue);
    }

    /// <summary>Name of its thread.</summary>
    internal string Name => _name;

    /// <summary>Calls <paramref name="handler"/> each time <paramref name="fd"/> is readable.</summary>
    /// <param name="fd">What to wait for.</param>
    /// <param name="handler">What to call.</param>
    /// <param name="token">What to give it.</param>
    /// <param name="edge">Once for each time that it becomes so, instead of for as long as it is: an event or a timer then needs no reading.</param>
    /// <exception cref="MicroVmException">The descriptor cannot be waited for (a regular file), or the host gives no thread.</exception>
    public void Add(int fd, IEventHandler handler, int token = 0, bool edge = false)
    {
        lock (_handling)
        {
            int index = Array.FindIndex(_slots, static s => s.Handler is null);
            if (index < 0)
            {
                index = _slots.Length;
                Array.Resize(ref _slots, index * 2);
            }
            _thread ??= HostThread.Start(Run, _name, _owner);
            Control(Libc.EPOLL_CTL_ADD, fd, (uint)index, edge ? Libc.EPOLLIN | Libc.EPOLLET : Libc.EPOLLIN);
            _slots[index] = new Slot(fd, handler, token);
        }
    }

    /// <summary>Changes what an added descriptor is waited for; neither leaves errors only. Allowed inside a handler; allocates nothing.</summary>
    public void Want(int fd, bool readable, bool writable = false)
    {
        lock (_handling)
        {
            for (int i = 0; i < _slots.Length; i++)
            {
                if (_slots[i].Handler is null || _slots[i].Fd != fd) continue;
                Control(Libc.EPOLL_CTL_MOD, fd, (uint)i, (readable ? Libc.EPOLLIN : 0) | (writable ? Libc.EPOLLOUT : 0));
                return;
            }
        }
    }

    /// <summary>Stops calling the handler of <paramref name="fd"/>; a call that is under way ends first. Nothing happens if it was not added.</summary>
    public void Remove(int fd)
    {
        lock (_handling)
        {
            int index = Array.FindIndex(_slots, s => s.Handler is not null && s.Fd == fd);
            if (index < 0) return;
            Control(Libc.EPOLL_CTL_DEL, fd, 0);
            _slots[index] = default;
        }
    }

    /// <summary>Ends the thread. Handlers are not called any more once this returns.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        _wake.Signal();
        if (_thread != Thread.CurrentThread) _thread?.Join();
        _wake.Dispose();
        _ = Libc.close(_epoll);
    }

    private void Run()
    {
        Span<Libc.EpollEvent> events = stackalloc Libc.EpollEvent[BatchSize];
        while (!_stopping)
        {
            int count = HostIo.WaitMany(_epoll, events);
            for (int i = 0; i < count && !_stopping; i++)
            {
                // Without the lock, for what the owner does then may wait for it.
                if (Handle((uint)events[i].Data) is { } failure) _owner.OnFailure(_name, failure);
            }
        }
    }

    private Exception? Handle(uint index)
    {
        lock (_handling)
        {
            // A slot that was removed after epoll_wait returned is empty now.
            if (index >= (uint)_slots.Length || _slots[index] is not { Handler: { } handler } slot) return null;
            try
            {
                handler.OnReady(slot.Token);
                return null;
            }
            catch (Exception e)
            {
                // What state it is in is not known; the others are served for as long as the owner lets them.
                Forget(handler);
                return e;
            }
        }
    }

    private void Forget(IEventHandler handler)
    {
        for (int i = 0; i < _slots.Length; i++)
        {
            if (_slots[i].Handler != handler) continue;
            Control(Libc.EPOLL_CTL_DEL, _slots[i].Fd, 0);
            _slots[i] = default;
        }
    }

    private void Control(int operation, int fd, uint index, uint events = Libc.EPOLLIN)
    {
        int error = HostIo.Watch(_epoll, operation, fd, index, events);
        if (error != 0 && operation == Libc.EPOLL_CTL_ADD)
        {
            throw MicroVmException.Host("cannot wait for a file descriptor", $"{fd}: {Libc.Describe(error)}", "Give a pipe, a socket, a terminal or an event");
        }
    }

    private readonly record struct Slot(int Fd, IEventHandler Handler, int Token);
}
