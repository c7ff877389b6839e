using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>A console (hvc0) and named ports (/dev/virtio-ports/NAME). A reader that does not read costs output, never the guest's time; input waits until the guest takes it.</summary>
public sealed class VirtioConsoleDevice : VirtioDevice
{
    private readonly EventLoop _loop;
    private readonly IReadOnlyList<ConsolePort> _ports;
    private readonly ConsoleControl _control;
    private readonly List<ConsoleReceiver> _receivers = [];
    private readonly List<QueueService> _services = [];

    /// <summary>Makes a console of one port.</summary>
    /// <param name="loop">Where its queues are served, shared with other quick devices. No handler of it may take a block's gate.</param>
    /// <param name="output">Takes what the guest writes, or null to throw it away.</param>
    /// <param name="size">Columns and rows of the terminal, or null if there is none.</param>
    public VirtioConsoleDevice(EventLoop loop, OutputPump? output, (ushort Columns, ushort Rows)? size = null) : this(loop, [new ConsolePort(0, null, output)], size)
    {
    }

    /// <summary>Makes a device of these ports, which it then owns.</summary>
    internal VirtioConsoleDevice(EventLoop loop, IReadOnlyList<ConsolePort> ports, (ushort Columns, ushort Rows)? size)
        : base("virtio-console", VirtioConsole.DeviceId, Offer(size.HasValue, Named(ports) > 0), Queues(Named(ports)),
            new VirtioConsoleConfig(size?.Columns ?? 0, size?.Rows ?? 0, Named(ports) is > 0 and var named ? (uint)named + 1 : 0, ports.FirstOrDefault(static p => p.Name is null)?.Output))
    {
        (_loop, _ports, _control) = (loop, ports, new ConsoleControl(ports));
        if (size is { } known) _control.Resize(known.Columns, known.Rows);
    }

    /// <summary>Where the host's input for the console goes.</summary>
    internal IInputSink InputSink => _ports[0].Input;

    /// <summary>Messages of the driver that meant nothing.</summary>
    internal long Ignored => _control.Ignored;

    /// <summary>The terminal has another size; the driver is told.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        ((VirtioConsoleConfig)Config!).SetSize(columns, rows);
        // A driver of several ports does not look at the configuration, one of a single port hears no messages (Linux).
        _control.Resize(columns, rows);
        ConfigChanged();
    }

    internal override bool UsesQueuesOnly => true;

    /// <inheritdoc/>
    internal override HostSide Host =>
        new(string.Join("; ", _ports.Select(static p => p.Name is null ? p.Host : $"{p.Name}: {p.Host}")), null,
        _loop.Name);

    /// <summary>Somebody came to, or left, the host's end of a port. From any thread.</summary>
    internal void SetHostOpen(ConsolePort port, bool open) => _control.SetHostOpen(port, open);

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        bool several = (context.Features & (ulong)VirtioConsoleFeatures.MultiPort) != 0;
        foreach (ConsolePort port in _ports)
        {
            if (port.Number != 0 && !several) continue;
            Receive(context, port.ReceiveQueue, port.Input);
            Serve(context, port.TransmitQueue, new ConsoleOutput(port.Output));
        }
        if (!several)
        {
            // Linux reads the size when it hears of a change, and not before.
            if ((context.Features & (ulong)VirtioConsoleFeatures.Size) != 0) ConfigChanged();
            return;
        }
        Receive(context, VirtioConsole.ControlReceiveQueue, _control);
        Serve(context, VirtioConsole.ControlTransmitQueue, _control);
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        foreach (QueueService service in _services) service.Stop();
        foreach (ConsoleReceiver receiver in _receivers) receiver.Stop();
        _services.Clear();
        _receivers.Clear();
        _control.Reset();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        foreach (ConsolePort port in _ports) port.Dispose();
        _control.Dispose();
    }

    private void Serve(in ActivationContext context, int queue, IChainHandler handler)
    {
        if (context.Queues[queue] is not { } setup) return;
        QueueService service = new(_loop, new Virtqueue(setup, context.Memory), handler, Transport);
        _services.Add(service);
        service.Start();
    }

    private void Receive(in ActivationContext context, int queue, IWaiting waiting)
    {
        if (context.Queues[queue] is not { } setup) return;
        ConsoleReceiver receiver = new(_loop, new Virtqueue(setup, context.Memory), waiting, Transport);
        _receivers.Add(receiver);
        receiver.Start();
    }

    private static int Named(IReadOnlyList<ConsolePort> ports) => ports.Count(static p => p.Name is not null);

    private static ushort[] Queues(int named)
    {
        ReadOnlySpan<ushort> all = VirtioConsole.QueueSizes, first = all[..VirtioConsole.ControlReceiveQueue];
        if (named == 0) return first.ToArray();
        List<ushort> sizes = [.. all];
        for (int i = 0; i < named; i++) sizes.AddRange(first);
        return [.. sizes];
    }

    private static ulong Offer(bool size, bool several) =>
        (ulong)(VirtioConsoleFeatures.EmergencyWrite | (size ? VirtioConsoleFeatures.Size : 0) | (several ? VirtioConsoleFeatures.MultiPort : 0));
}
