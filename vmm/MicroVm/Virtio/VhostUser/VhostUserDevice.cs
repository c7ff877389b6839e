using MicroVm.Bus;
using MicroVm.Devices;

namespace MicroVm.Virtio.VhostUser;

/// <summary>A virtio device whose queues another process serves. Of what kind it is, this side knows only the configuration space and the features.</summary>
internal abstract class VhostUserDevice : VirtioDevice, IBackendObserver
{
    // Of the rings and the transport, those that work over this protocol as it is spoken here. Below them are the device type's own.
    private const ulong RingFeatures = (ulong)(VirtioFeatures.Version1 | VirtioFeatures.RingIndirectDesc | VirtioFeatures.RingEventIdx);
    private const ulong TypeFeatures = (1UL << 24) - 1;

    /// <param name="name">In messages.</param>
    /// <param name="id">Device type.</param>
    /// <param name="own">Features that this process serves itself, in the configuration space.</param>
    /// <param name="passed">Features of the type that are offered where the backend has them.</param>
    /// <param name="queueSizes">Largest size of each queue.</param>
    /// <param name="config">The configuration space.</param>
    /// <param name="keeper">The backend; the caller's until the device is made.</param>
    /// <exception cref="MicroVmException">The backend cannot serve such a device.</exception>
    protected VhostUserDevice(string name, uint id, ulong own, ulong passed, ReadOnlySpan<ushort> queueSizes, IRegisterBlock config, BackendKeeper keeper)
        : base(name, id, 0, queueSizes, config)
    {
        Keeper = keeper;
        Features = keeper.Features & (RingFeatures | (passed & TypeFeatures));
        if ((Features & (ulong)VirtioFeatures.Version1) == 0) throw keeper.Refused("knows no virtio 1.0");
        if ((ulong)queueSizes.Length > keeper.MaxQueues) throw keeper.Refused($"serves {keeper.MaxQueues} queues, not {queueSizes.Length}");
        keeper.Require(Features, queueSizes.Length);
        Features |= own;
    }

    /// <inheritdoc/>
    internal override HostSide Host => HostSide.Of(Keeper.Path, "vhost-user", Keeper.ThreadName);

    /// <summary>Whether a backend is there now.</summary>
    internal bool HasBackend => Keeper.IsPresent;

    /// <summary>The backend, whichever it is at the time.</summary>
    protected BackendKeeper Keeper { get; }

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context) => Keeper.Start(context, Transport);

    /// <inheritdoc/>
    public override void Reset() => Keeper.Stop();

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        Keeper.Dispose();
    }

    /// <inheritdoc/>
    public virtual void OnConfig(ReadOnlySpan<byte> config) { }

    /// <inheritdoc/>
    public virtual void OnBackend(bool present) { }

    /// <summary>Opens the backend and makes the device of it, or gives the backend back.</summary>
    protected static T Make<T>(BackendKeeper keeper, Func<BackendKeeper, T> make) where T : VhostUserDevice
    {
        try
        {
            T device = make(keeper);
            keeper.Begin(device, device);
            return device;
        }
        catch
        {
            keeper.Dispose();
            throw;
        }
    }
}
