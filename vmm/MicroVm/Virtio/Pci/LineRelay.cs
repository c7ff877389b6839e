using MicroVm.Events;

namespace MicroVm.Virtio.Pci;

/// <summary>For a backend in the host's kernel whose guest has no MSI-X: an event for each queue, heard here, because the interrupt status must say why before the line is raised.</summary>
/// <param name="raise">Sets the cause; called on a thread of its own, which starts with the first event.</param>
/// <param name="queues">Queues of the device.</param>
/// <param name="owner">Hears if the thread fails.</param>
internal sealed class LineRelay(Action raise, int queues, IThreadOwner owner) : IEventHandler, IDisposable
{
    private readonly EventFd?[] _events = new EventFd?[queues];
    private EventLoop? _loop;

    /// <summary>The event of a queue, heard until <see cref="Stop"/>.</summary>
    internal EventFd Event(int queue)
    {
        if (_events[queue] is { } known) return known;
        EventFd made = new();
        (_loop ??= new EventLoop("virtio-intx", owner)).Add(made.Fd, this, queue);
        return _events[queue] = made;
    }

    /// <summary>Listens no more: the device was reset, and the backend signals nothing any more.</summary>
    internal void Stop()
    {
        for (int i = 0; i < _events.Length; i++)
        {
            if (_events[i] is not { } heard) continue;
            _loop!.Remove(heard.Fd);
            heard.Dispose();
            _events[i] = null;
        }
    }

    public void OnReady(int token)
    {
        if (_events[token] is { } heard && heard.Drain() != 0) raise();
    }

    public void Dispose()
    {
        Stop();
        _loop?.Dispose();
    }
}
