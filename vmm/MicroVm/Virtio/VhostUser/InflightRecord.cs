using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.VhostUser;

/// <summary>Memory in which a backend notes the requests that it has begun; kept here for the backend that comes after it. This process never maps it.</summary>
internal sealed class InflightRecord(int file, in VhostUserInflight description) : IDisposable
{
    internal int File { get; private set; } = file;

    internal VhostUserInflight Description { get; } = description;

    public void Dispose()
    {
        if (File >= 0) HostSocket.Close(File);
        File = -1;
    }
}
