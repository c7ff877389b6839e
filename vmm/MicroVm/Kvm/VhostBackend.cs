using System.Runtime.InteropServices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Kvm;

/// <summary>A backend in the host's kernel (vhost): it gets the guest's memory, the rings and the events, and serves queues without this process. Each of its calls throws if the host refuses.</summary>
internal sealed unsafe class VhostBackend : IDisposable, IMemoryListener
{
    private const nuint GetFeatures = 0x8008af00, SetFeatures = 0x4008af00, SetOwner = 0xaf01, SetMemTable = 0x4008af03;
    private const nuint SetVringNum = 0x4008af10, SetVringAddr = 0x4028af11, SetVringBase = 0x4008af12, GetVringBase = 0xc008af12;
    private const nuint SetVringKick = 0x4008af20, SetVringCall = 0x4008af21, SetVringError = 0x4008af22, NetSetBackend = 0x4008af30;
    private const nuint VsockSetCid = 0x4008af60, VsockSetRunning = 0x4004af61;
    private const int MaxRegions = GuestMemory.MostRegions;

    private readonly string _path;
    private int _fd;
    private GuestMemory? _memory;

    private VhostBackend(string path, int fd) => (_path, _fd) = (path, fd);

    /// <summary>Opens a backend and makes this process its owner.</summary>
    /// <param name="path"><c>/dev/vhost-net</c> or <c>/dev/vhost-vsock</c>.</param>
    /// <param name="module">The module that brings it.</param>
    /// <exception cref="MicroVmException">It is missing or not permitted.</exception>
    internal static VhostBackend Open(string path, string module)
    {
        int fd = Libc.Open(path, Libc.O_RDWR);
        if (fd < 0)
        {
            int error = Libc.Errno;
            throw MicroVmException.Refused(FailureKind.Host, "cannot open the kernel's backend", path, error, error is Libc.ENOENT or Libc.ENODEV
                ? $"Load it: modprobe {module}; or leave vhost away" : "Give yourself access to it (group kvm), run as root, or leave vhost away");
        }
        VhostBackend backend = new(path, fd);
        if (Libc.ioctl(fd, SetOwner, 0) == 0) return backend;
        MicroVmException failure = backend.Failed("VHOST_SET_OWNER");
        backend.Dispose();
        throw failure;
    }

    /// <summary>What it can do, as virtio features.</summary>
    internal ulong Features
    {
        get
        {
            ulong features = 0;
            Check(Libc.ioctl(_fd, GetFeatures, &features), "VHOST_GET_FEATURES");
            return features;
        }
    }

    /// <summary>Gives it memory and features, once for each activation; until <see cref="Forget"/> it then follows what the guest has as memory.</summary>
    internal void Prepare(GuestMemory memory, ulong features)
    {
        Check(Libc.ioctl(_fd, SetFeatures, &features), "VHOST_SET_FEATURES");
        memory.Listen(this);
        _memory = memory;
    }

    /// <summary>The activation is over: changes of the guest's memory do not matter any more.</summary>
    internal void Forget()
    {
        _memory?.Unlisten(this);
        _memory = null;
    }

    /// <inheritdoc/>
    int IMemoryListener.MostRegions => MaxRegions;

    /// <inheritdoc/>
    public void Changed(ReadOnlySpan<MemoryRegion> regions)
    {
        if (regions.Length > MaxRegions) throw MicroVmException.Host("guest memory has too many pieces", $"{regions.Length} for {_path}", "Leave vhost away");
        MemoryTable table = new() { Count = (uint)regions.Length };
        // SAFETY: the rows of the table on this stack, as many as it has.
        Span<Region> rows = new(table.Rows, MaxRegions);
        for (int i = 0; i < regions.Length; i++) rows[i] = new Region(regions[i]);
        Check(Libc.ioctl(_fd, SetMemTable, &table), "VHOST_SET_MEM_TABLE");
    }

    /// <summary>Gives it a queue: the guest's doorbell is its kick, and <paramref name="call"/>, which KVM hears as well, its interrupt.</summary>
    /// <param name="index">Number of the queue in the backend.</param>
    /// <param name="queue">The queue; its rings were checked to lie in RAM.</param>
    /// <param name="call">Signalled for used buffers.</param>
    /// <param name="broken">Signalled once the backend finds the queue broken.</param>
    internal void SetQueue(int index, QueueSetup queue, EventFd call, EventFd broken)
    {
        VringState size = new() { Index = (uint)index, Value = queue.Size }, start = new() { Index = (uint)index };
        VringAddress address = new()
        {
            Index = (uint)index, Descriptors = (ulong)queue.Descriptors.Address, Used = (ulong)queue.Used.Address, Available = (ulong)queue.Available.Address,
        };
        Check(Libc.ioctl(_fd, SetVringNum, &size), "VHOST_SET_VRING_NUM");
        Check(Libc.ioctl(_fd, SetVringBase, &start), "VHOST_SET_VRING_BASE");
        Check(Libc.ioctl(_fd, SetVringAddr, &address), "VHOST_SET_VRING_ADDR");
        SetFile(SetVringCall, index, call.Fd, "VHOST_SET_VRING_CALL");
        SetFile(SetVringError, index, broken.Fd, "VHOST_SET_VRING_ERR");
        SetFile(SetVringKick, index, queue.Kick.Fd, "VHOST_SET_VRING_KICK");
    }

    /// <summary>vhost-net: connects a queue to a tap, which starts it; -1 stops it, and nothing of the guest is touched once this returns.</summary>
    internal void SetNetBackend(int index, int tap) => SetFile(NetSetBackend, index, tap, "VHOST_NET_SET_BACKEND");

    /// <summary>Stops a queue of vhost-net, whatever its state.</summary>
    internal void StopNet(int index)
    {
        VringFile file = new() { Index = (uint)index, Fd = -1 };
        _ = Libc.ioctl(_fd, NetSetBackend, &file);
        ReleaseQueue(index);
    }

    /// <summary>vhost-vsock: the guest's address. False if another machine of this host has it.</summary>
    internal bool TrySetCid(ulong cid, out int error)
    {
        error = Libc.ioctl(_fd, VsockSetCid, &cid) == 0 ? 0 : Libc.Errno;
        return error == 0;
    }

    /// <summary>vhost-vsock: starts or stops both queues.</summary>
    internal void SetRunning(bool running)
    {
        int value = running ? 1 : 0;
        int done = Libc.ioctl(_fd, VsockSetRunning, &value);
        if (running) Check(done, "VHOST_VSOCK_SET_RUNNING");
    }

    /// <summary>Takes a stopped queue's events away again and answers where it stopped.</summary>
    internal ushort ReleaseQueue(int index)
    {
        VringState state = new() { Index = (uint)index };
        _ = Libc.ioctl(_fd, GetVringBase, &state);
        foreach (nuint request in (ReadOnlySpan<nuint>)[SetVringKick, SetVringCall, SetVringError])
        {
            VringFile none = new() { Index = (uint)index, Fd = -1 };
            _ = Libc.ioctl(_fd, request, &none);
        }
        return (ushort)state.Value;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        if (_fd >= 0) _ = Libc.close(_fd);
        _fd = -1;
    }

    private void SetFile(nuint request, int index, int fd, string call)
    {
        VringFile file = new() { Index = (uint)index, Fd = fd };
        Check(Libc.ioctl(_fd, request, &file), call);
    }

    private void Check(int result, string call)
    {
        if (result < 0) throw Failed(call);
    }

    private MicroVmException Failed(string call) => MicroVmException.Host("the kernel's backend refused", $"{call} on {_path}: {Libc.Describe(Libc.Errno)}", "Leave vhost away");

    [StructLayout(LayoutKind.Sequential)]
    private struct VringState
    {
        internal uint Index, Value;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct VringFile
    {
        internal uint Index;
        internal int Fd;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct VringAddress
    {
        internal uint Index, Flags;
        internal ulong Descriptors, Used, Available, Log;
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Region(MemoryRegion region)
    {
        internal readonly ulong GuestAddress = region.GuestAddress, Length = region.Length, HostAddress = (ulong)region.HostAddress, Padding = 0;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct MemoryTable
    {
        internal uint Count, Padding;
        internal fixed ulong Rows[MaxRegions * 4];
    }
}
