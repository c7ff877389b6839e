using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>Opens the host's end that a user asked for.</summary>
internal static class NetEnds
{
    /// <exception cref="MicroVmException">There is not exactly one, or the host does not give it.</exception>
    internal static INetEnd[] Open(NetOptions options)
    {
        if (options.HostEnds != 1) throw MicroVmException.Usage("a network device needs one host end", "--net", "Give tap=NAME, fd=N, socket=PATH or passt");
        if (options.Vhost && !options.HasTap) throw MicroVmException.Usage("vhost needs a tap", "--net", "Give tap=NAME,vhost, or leave vhost away");
        if (options.Vhost && !options.Limits.IsNone) throw MicroVmException.Usage("the host's kernel holds no frames to a limit", "--net", "Leave vhost away, or limit the tap: tc qdisc");
        if (options.Pairs > 1 && !options.HasTap) throw MicroVmException.Usage("several queues need a tap", "--net", "Give tap=NAME,queues=N, or leave queues away");
        if (options.Passt is { } passt) return [Passt.Start(passt, options.Mtu)];
        if (options.Socket is { } path) return [Connect(path)];
        return options.Tap is { } name ? HostTap.Open(name, options.Queues) : HostTap.FromDescriptors(options.Descriptors);
    }

    private static StreamEnd Connect(string path)
    {
        int socket = HostSocket.Connect(path);
        if (socket >= 0) return new StreamEnd(socket, path);
        throw MicroVmException.Refused(FailureKind.Host, "cannot connect to the network's program", $"socket={path}", -socket, -socket switch
        {
            Libc.ENOENT or Libc.ECONNREFUSED => $"Start it first: passt --one-off --socket {path}",
            Libc.EAGAIN => "It serves another machine: start one for this machine",
            _ => $"Give the path of a socket that this user may use, of at most {HostSocket.MaxPath} bytes",
        });
    }
}
