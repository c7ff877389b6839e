using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Console;

/// <summary>A console of one port (hvc0). A reader that does not read costs output, never the guest's time; input waits until the guest takes it.</summary>
public sealed class VirtioConsoleDevice : VirtioDevice
{
    private readonly EventLoop _loop;
    private readonly ConsoleOutput _output;
    private readonly ConsoleInput _input = new();
    private (ConsoleReceiver? Receive, QueueService? Transmit) _active;

    /// <summary>Makes a console.</summary>
    /// <param name="loop">Where its queues are served, shared with other quick devices. No handler of it may take a block's gate.</param>
    /// <param name="output">Takes what the guest writes, or null to throw it away.</param>
    /// <param name="size">Columns and rows of the terminal, or null if there is none.</param>
    public VirtioConsoleDevice(EventLoop loop, OutputPump? output, (ushort Columns, ushort Rows)? size = null)
        : base("virtio-console", VirtioConsole.DeviceId, Offer(size.HasValue), VirtioConsole.QueueSizes,
            new VirtioConsoleConfig(size?.Columns ?? 0, size?.Rows ?? 0, output))
    {
        _loop = loop;
        _output = new ConsoleOutput(output);
    }

    /// <summary>Where the host's input goes.</summary>
    internal IInputSink InputSink => _input;

    /// <summary>Told when there is room for input again.</summary>
    internal InputPump? Input { set => _input.Pump = value; }

    /// <summary>The terminal has another size; the driver is told. From any thread but a vCPU's.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        ((VirtioConsoleConfig)Config!).SetSize(columns, rows);
        ConfigChanged();
    }

    /// <inheritdoc/>
    public override void Activate(in ActivationContext context)
    {
        if (context.Queues[VirtioConsole.TransmitQueue] is { } transmit)
        {
            _active.Transmit = new QueueService(_loop, new Virtqueue(transmit, context.Memory), _output, Transport);
            _active.Transmit.Start();
        }
        if (context.Queues[VirtioConsole.ReceiveQueue] is { } receive)
        {
            _active.Receive = new ConsoleReceiver(_loop, new Virtqueue(receive, context.Memory), _input, Transport);
            _active.Receive.Start();
        }
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        _active.Transmit?.Stop();
        _active.Receive?.Stop();
        _active = default;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _input.Dispose();
    }

    private static ulong Offer(bool size) => (ulong)(VirtioConsoleFeatures.EmergencyWrite | (size ? VirtioConsoleFeatures.Size : 0));
}
