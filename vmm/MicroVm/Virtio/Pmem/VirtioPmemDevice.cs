using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Pmem;

/// <summary>A file of the host as persistent memory of the guest. Flushes wait for the disk on a thread of their own, which also hears when the file is cut short.</summary>
public sealed class VirtioPmemDevice : VirtioDevice, IPlacedDevice, IEventHandler
{
    private readonly PmemFile _file;
    private readonly EventLoop _loop;
    private QueueService? _active;
    private HostFileWatch? _watch;

    private VirtioPmemDevice(PmemFile file)
        : base("virtio-pmem", VirtioPmem.DeviceId, 0, VirtioPmem.QueueSizes, new VirtioPmemConfig(file)) =>
        (_file, _loop) = (file, new EventLoop("virtio-pmem", this));

    /// <summary>Opens the file.</summary>
    /// <param name="options">The file.</param>
    /// <param name="warn">Hears once, on any thread, that a part of the file is gone.</param>
    /// <exception cref="MicroVmException">It cannot be used.</exception>
    internal static VirtioPmemDevice Open(PmemOptions options, Action<string>? warn)
    {
        PmemFile file = PmemFile.Open(options.Path, options.ReadOnly, warn);
        try
        {
            return new VirtioPmemDevice(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    internal PmemFile File => _file;

    /// <inheritdoc/>
    internal override HostSide Host => HostSide.Of(_file.Path, "mapped", Name);

    /// <inheritdoc/>
    (ulong Bytes, ulong Alignment) IPlacedDevice.Needs => (_file.Length, VirtioPmemConst.Alignment);

    /// <inheritdoc/>
    void IPlacedDevice.Place(GuestMemory memory) => _file.Place(memory);

    /// <inheritdoc/>
    void IPlacedDevice.Provide()
    {
        _file.Provide();
        _watch = new HostFileWatch(_file.Descriptor);
        _loop.Add(_watch.Fd, this);
    }

    // A vCPU that touches what is gone may never come out of KVM, which asks again and again for the page: it is mended before, or under it.
    void IEventHandler.OnReady(int token)
    {
        _watch!.Drain();
        _ = _file.Mend();
    }

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        if (context.Queues[VirtioPmem.RequestQueue] is not { } setup) return;
        _active = new QueueService(_loop, new Virtqueue(setup, context.Memory), new PmemRequests(_file), Transport);
        _active.Start();
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _active?.Stop();
        _active = null;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _loop.Dispose();
        _watch?.Dispose();
        _file.Dispose();
    }
}
