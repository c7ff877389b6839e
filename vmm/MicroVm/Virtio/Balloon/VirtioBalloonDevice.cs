using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Balloon;

/// <summary>A balloon: the guest gives memory up, by order or by itself, and its pages go back to the host at once. Served on a thread of its own, for the host takes its time with pages.</summary>
public sealed class VirtioBalloonDevice : VirtioDevice
{
    private readonly VirtioBalloonConfig _config;
    private readonly BalloonCounters _counters = new();
    private readonly EventLoop _loop;
    private readonly BalloonStatistics _statistics;
    private readonly List<QueueService> _active = [];
    private bool _isActive;

    /// <summary>Makes a balloon.</summary>
    public VirtioBalloonDevice(BalloonOptions options) : this(options, new VirtioBalloonConfig(Pages(options.TargetBytes)))
    {
    }

    private VirtioBalloonDevice(BalloonOptions options, VirtioBalloonConfig config)
        : base("virtio-balloon", VirtioBalloon.DeviceId, Offer(options), VirtioBalloon.QueueSizes, config)
    {
        (_config, _loop) = (config, new EventLoop("virtio-balloon", this));
        try
        {
            _statistics = new BalloonStatistics(_loop, options.StatisticsSeconds);
        }
        catch
        {
            _loop.Dispose();
            throw;
        }
    }

    /// <summary>Bytes that the guest should give up.</summary>
    internal ulong Target
    {
        get => (ulong)_config.Target << (int)VirtioBalloonConst.PageShift;
        set
        {
            _config.Target = Pages(value);
            ConfigChanged();
        }
    }

    /// <summary>Bytes that it has given up, as it says.</summary>
    internal ulong Actual => (ulong)_config.Pages << (int)VirtioBalloonConst.PageShift;

    internal BalloonCounters Counters => _counters;

    /// <summary>The guest's figures of its memory, new ones if it answers in time.</summary>
    internal IReadOnlyList<(VirtioBalloonTag Tag, ulong Value)> Statistics(int milliseconds) => _statistics.Ask(milliseconds);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        _isActive = true;
        VirtioBalloonFeatures features = (VirtioBalloonFeatures)context.Features;
        Serve(context, VirtioBalloon.InflateQueue, new BalloonPages(context.Memory, _counters, Transport, inflates: true));
        Serve(context, VirtioBalloon.DeflateQueue, new BalloonPages(context.Memory, _counters, Transport, inflates: false));
        // Drivers number only the queues of what was agreed, one after the other; 5.5.2 gives each its place.
        int next = VirtioBalloon.StatisticsQueue;
        if ((features & VirtioBalloonFeatures.Stats) != 0)
        {
            if (context.Queues[next] is { } setup) _statistics.Start(new Virtqueue(setup, context.Memory), Transport);
            next++;
        }
        if ((features & VirtioBalloonFeatures.PageReporting) == 0) return;
        Serve(context, context.Queues[next] is null ? VirtioBalloon.ReportsQueue : next, new BalloonReports(context.Memory, _counters));
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        foreach (QueueService service in _active) service.Stop();
        _active.Clear();
        _statistics.Stop();
        if (!_isActive) return;
        _isActive = false;
        // The next driver begins with an empty balloon.
        _config.ResetRegisters();
        ConfigChanged();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _loop.Dispose();
        _statistics.Dispose();
    }

    private void Serve(in ActivationContext context, int queue, IChainHandler handler)
    {
        if (context.Queues[queue] is not { } setup) return;
        QueueService service = new(_loop, new Virtqueue(setup, context.Memory), handler, Transport);
        _active.Add(service);
        service.Start();
    }

    private static uint Pages(ulong bytes) => (uint)Math.Min(bytes >> (int)VirtioBalloonConst.PageShift, uint.MaxValue);

    private static ulong Offer(BalloonOptions options) => (ulong)(VirtioBalloonFeatures.Stats
        | (options.DeflateOnOom ? VirtioBalloonFeatures.DeflateOnOom : 0)
        | (options.FreePageReporting ? VirtioBalloonFeatures.PageReporting : 0));
}
