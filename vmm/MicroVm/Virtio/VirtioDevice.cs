using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Events;

namespace MicroVm.Virtio;

/// <summary>The host's side of a device, for people.</summary>
/// <param name="What">A path, an interface; null for nothing.</param>
/// <param name="How">What serves it outside of this process or in another way than reading and writing; null for
/// nothing.</param>
/// <param name="Thread">Name of the threads of this process that serve it, or null.</param>
internal readonly record struct HostSide(string? What, string? How, string? Thread)
{
    /// <summary>Of a device that has a path: who reads it may be in another folder.</summary>
    internal static HostSide Of(string path, string? how, string? thread) => new(Path.GetFullPath(path), how, thread);
}

/// <summary>A virtio device without its transport: what it offers, and what it does between activation and reset.</summary>
/// <remarks>A device is inactive, or active with queues; only the transport moves it from one to the other, under its own gate, one call at a time.</remarks>
public abstract class VirtioDevice : IDisposable, IThreadOwner
{
    private readonly ushort[] _queueSizes;
    private IVirtioTransport? _transport;

    /// <summary>Says what the device is.</summary>
    /// <param name="name">Name in messages: "virtio-block".</param>
    /// <param name="id">Device type (Virtio 1.2, 5).</param>
    /// <param name="features">Features of the type that are offered; those of this engine's queues are added.</param>
    /// <param name="queueSizes">Largest size of each queue.</param>
    /// <param name="config">The configuration space, or null.</param>
    protected VirtioDevice(string name, uint id, ulong features, ReadOnlySpan<ushort> queueSizes, IRegisterBlock? config)
    {
        Name = name;
        DeviceId = id;
        Features = features | (ulong)(VirtioFeatures.Version1 | VirtioFeatures.RingIndirectDesc | VirtioFeatures.RingEventIdx);
        _queueSizes = queueSizes.ToArray();
        Config = config;
    }

    /// <summary>Name in messages.</summary>
    public string Name { get; }

    /// <summary>What the user calls it, or null.</summary>
    public string? Id { get; internal set; }

    /// <summary>Hears of a thread of the device that failed: the machine, once it has the device.</summary>
    internal IThreadOwner Owner { get; set; } = ThreadOwner.Process;

    /// <summary>Device type.</summary>
    public uint DeviceId { get; }

    /// <summary>Features offered; final once there is a transport.</summary>
    public ulong Features { get; protected init; }

    /// <summary>Largest size of each queue; their number is the device's.</summary>
    public ReadOnlySpan<ushort> QueueSizes => _queueSizes;

    /// <summary>It reaches memory only through its queues, in this process: it can be behind an IOMMU.</summary>
    internal virtual bool UsesQueuesOnly => false;

    /// <summary>The configuration space; accessed under the transport's gate.</summary>
    public IRegisterBlock? Config { get; }

    /// <summary>What is behind it on the host, and what serves it; from any thread.</summary>
    internal virtual HostSide Host => new(null, null, Name);

    /// <summary>What the device has counted since it was made, by name; from any thread.</summary>
    public virtual IReadOnlyList<(string Name, long Value)> Counts => [];

    /// <summary>The transport that the device sits on.</summary>
    protected IVirtioTransport Transport => _transport ?? throw new InvalidOperationException("no transport yet");

    /// <summary>The driver is ready. Does not wait for I/O.</summary>
    /// <exception cref="MicroVmException">The host refused something; the transport then asks the driver for a reset.</exception>
    public abstract void Activate(in ActivationContext context);

    /// <summary>The driver reset the device. When this returns, nothing of the last activation touches guest memory or its queues any more. Does nothing if inactive.</summary>
    public abstract void Reset();

    /// <summary>Resets the device and closes what it holds of the host.</summary>
    public virtual void Dispose()
    {
        Reset();
        GC.SuppressFinalize(this);
    }

    /// <summary>Tells the host side that the configuration reads differently; before there is a transport nobody has read it.</summary>
    protected void ConfigChanged() => _transport?.ConfigChanged();

    void IThreadOwner.OnFailure(string thread, Exception failure) => Owner.OnFailure(thread, failure);

    internal void Attach(IVirtioTransport transport)
    {
        if (_transport is not null) throw new InvalidOperationException($"{Name} is attached already");
        _transport = transport;
    }
}
