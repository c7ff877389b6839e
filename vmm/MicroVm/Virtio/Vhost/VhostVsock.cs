using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Vhost;

/// <summary>The data queues of a socket device in the host's kernel: the host's programs use AF_VSOCK. This process is not involved between activation and reset.</summary>
internal sealed class VhostVsock : IDisposable, IEventHandler
{
    private readonly VhostBackend _backend = VhostBackend.Open("/dev/vhost-vsock", "vhost_vsock");
    private readonly EventFd _broken = new();
    private (IVirtioTransport Transport, EventLoop Loop)? _running;

    internal VhostVsock(uint cid)
    {
        if (_backend.TrySetCid(cid, out int error)) return;
        _backend.Dispose();
        throw MicroVmException.Host("cannot give the guest its address", $"cid={cid}: {Libc.Describe(error)}",
            error == Libc.EADDRINUSE ? "Another machine of this host has it: give another one" : "Check that vhost_vsock works on this host");
    }

    /// <summary>Of the features of the device those that this backend serves as well.</summary>
    internal ulong Restrict(ulong offered) => offered & (_backend.Features | (ulong)VirtioVsockFeatures.Stream);

    internal void Start(in ActivationContext context, IVirtioTransport transport, EventLoop loop)
    {
        if (context.Queues[VirtioVsock.ReceiveQueue] is not { } receive || context.Queues[VirtioVsock.TransmitQueue] is not { } transmit) return;
        _backend.Prepare(context.Memory, context.Features & _backend.Features);
        _running = (transport, loop);
        _ = _broken.Drain();
        loop.Add(_broken.Fd, this);
        _backend.SetQueue(VirtioVsock.ReceiveQueue, receive, transport.CallEvent(VirtioVsock.ReceiveQueue), _broken);
        _backend.SetQueue(VirtioVsock.TransmitQueue, transmit, transport.CallEvent(VirtioVsock.TransmitQueue), _broken);
        _backend.SetRunning(true);
    }

    /// <summary>When this returns the kernel touches neither guest memory nor events of this device.</summary>
    internal void Stop()
    {
        if (_running is not { } running) return;
        running.Loop.Remove(_broken.Fd);
        _backend.SetRunning(false);
        _ = _backend.ReleaseQueue(VirtioVsock.ReceiveQueue);
        _ = _backend.ReleaseQueue(VirtioVsock.TransmitQueue);
        _backend.Forget();
        _running = null;
    }

    public void OnReady(int token)
    {
        _ = _broken.Drain();
        _running?.Transport.QueueBroken(VirtioVsock.TransmitQueue, QueueFault.Backend);
    }

    public void Dispose()
    {
        Stop();
        _backend.Dispose();
        _broken.Dispose();
    }
}
