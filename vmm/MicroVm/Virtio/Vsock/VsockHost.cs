using System.Globalization;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Vsock;

/// <summary>The host's end: the socket at which the host connects to the guest, and the paths at which the guest reaches the host (Firecracker's protocol).</summary>
internal sealed class VsockHost : IDisposable
{
    // "_4294967295"
    private const int SuffixLength = 11;

    private readonly string _path;

    private readonly HostListener _listener;

    private VsockHost(string path, HostListener listener) => (_path, _listener) = (path, listener);

    /// <summary>Where it listens.</summary>
    internal string Path => _path;

    /// <summary>Accepts connections from the host.</summary>
    internal int Listener => _listener.Fd;

    internal static VsockHost Listen(string path)
    {
        if (!HostSocket.IsPath(path, SuffixLength))
            throw MicroVmException.Usage("not a path for a socket", $"socket={path}", $"Give one of at most {HostSocket.MaxPath - SuffixLength} bytes");
        if (HostListener.TryListen(path, out int error) is { } listener) return new VsockHost(path, listener);
        throw MicroVmException.Refused(FailureKind.Host, "cannot listen for connections to the guest", $"socket={path}", error,
            error == Libc.EADDRINUSE ? "Another machine listens there, or it is not a socket: use another path, or remove it" : "Check the folder and its permissions");
    }

    /// <summary>Connects for the guest; a descriptor or minus the error number.</summary>
    internal int Connect(uint port) => HostSocket.Connect(string.Create(CultureInfo.InvariantCulture, $"{_path}_{port}"));

    public void Dispose() => _listener.Dispose();
}
