using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>Tells whether a tap is up, down or gone while no frame passes through this process: nobody else would with vhost, or with a guest that is silent because its link is down.</summary>
internal sealed class LinkWatch(INetEnd end, ILinkObserver link) : IEventHandler, IDisposable
{
    private readonly HostLinks? _links = end.HasOffloads ? HostLinks.TryOpen() : null;

    private readonly Lock _asking = new();

    /// <summary>The host tells of its interfaces; without that, only transfers show how this one is.</summary>
    internal bool Works => _links is not null;

    internal void Start(EventLoop loop)
    {
        if (_links is null) return;
        loop.Add(_links.Fd, this);
        Ask();
    }

    internal void Stop(EventLoop loop)
    {
        if (_links is not null) loop.Remove(_links.Fd);
    }

    /// <summary>Asks the end and tells the device. One at a time, so that the last to tell asked after the last change.</summary>
    internal void Ask()
    {
        lock (_asking) link.OnState(end.State());
    }

    public void OnReady(int token)
    {
        _links!.Drain();
        Ask();
    }

    public void Dispose() => _links?.Dispose();
}
