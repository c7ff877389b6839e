using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Console;
using Xunit;

namespace MicroVm.Tests.Virtio.Lives;

/// <summary>A console and two named ports: buffers that wait for input, input that waits for buffers, messages that
/// wait for the driver.</summary>
internal sealed class ConsoleLife : DeviceLife
{
    private const ulong Texts = 0xa0_0000, Room = 0x100_0000;
    private const byte Old = (byte)'o', New = (byte)'n', Input = (byte)'i';
    private const int Length = 100;

    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly Output _output = new();
    private readonly ConsolePort[] _ports;
    private readonly VirtioConsoleDevice _console;
    private readonly Random _random;
    private int _given;

    internal ConsoleLife(Random random)
    {
        _random = random;
        _ports = [new(0, null, _output), new(1, "agent", _output), new(2, "log", null)];
        _console = new VirtioConsoleDevice(_loop, _ports, (80, 25));
        Driver = new GuestDriver(_console);
    }

    internal override GuestDriver Driver { get; }

    private GuestQueue Heard => Driver.Queues[VirtioConsole.ControlReceiveQueue];

    protected override void Begin(Step step)
    {
        foreach (GuestQueue queue in Driver.Queues)
        {
            // The named port has no buffers: its input waits.
            if (queue.Index == _ports[1].ReceiveQueue) continue;
            for (ushort head = 0; head < queue.Size; head++) Offer(queue, head);
            queue.Publish();
            if (step >= Step.Kicked) queue.Kick();
        }
        if (step < Step.Taken) return;
        LoopFence.Pass(_loop);
        Assert.Equal(2 * 64 * Length, _output.Count(Old)); // two ports of them lead somewhere
        if (step >= Step.PartlyDone) Give(_random.Next(1, 4096));
        if (step == Step.Answered) LoopFence.Pass(_loop);
        if (step == Step.Broken) Break(Driver.Queues[VirtioConsole.ControlTransmitQueue]);
    }

    private static void Offer(GuestQueue queue, ushort head)
    {
        bool receives = queue.Index % 2 == 0, asks = queue.Index == VirtioConsole.ControlTransmitQueue;
        VirtioConsoleEvent says = head % 2 == 0 ? VirtioConsoleEvent.PortReady : VirtioConsoleEvent.PortOpen;
        ulong room = Room + ((ulong)queue.Index << 16) + head * 0x100u;
        if (receives) queue.Describe(head, room, 0x100, VirtqDescFlags.Write);
        else if (asks) Message(queue, head, Texts + head * 8u, head % 3u, says);
        else Text(queue, head, Texts + 0x1000, Old);
        queue.Offer(head);
    }

    internal override void Late()
    {
        Give(500);
        foreach (ConsolePort port in _ports) _console.SetHostOpen(port, false);
        _console.Resize(100, 40);
        LoopFence.Pass(_loop);
        Assert.Equal(0, _output.Count(Fill));
    }

    internal override void Serve()
    {
        // The driver says anew what it wants to know, and hears that alone.
        GuestQueue asks = Driver.Queues[VirtioConsole.ControlTransmitQueue];
        Message(asks, 0, Buffers, 0, VirtioConsoleEvent.DeviceReady);
        Assert.NotNull(asks.Transact(0));
        for (uint port = 0; port < _ports.Length; port++) Assert.Equal((port, VirtioConsoleEvent.PortAdd), Hear());
        Message(asks, 0, Buffers, 1, VirtioConsoleEvent.PortReady);
        Assert.NotNull(asks.Transact(0));
        Assert.Equal((1u, VirtioConsoleEvent.PortName), Hear());
        Assert.Equal((1u, VirtioConsoleEvent.PortOpen), Hear());
        Message(asks, 0, Buffers, 1, VirtioConsoleEvent.PortOpen);
        Assert.NotNull(asks.Transact(0));
        // Input is the host's, and waited; output is this life's.
        int old = _output.Count(Old);
        foreach (ConsolePort port in _ports.AsSpan(0, 2))
        {
            GuestQueue transmit = Driver.Queues[port.TransmitQueue];
            for (ushort head = 0; head < transmit.Size; head++) Text(transmit, head, Buffers + 0x1000, New);
            for (ushort head = 0; head < transmit.Size; head++) Assert.NotNull(transmit.Transact(head));
            Assert.Equal(transmit.Size, transmit.UsedIndex);
        }
        int sent = 2 * Driver.Queues[0].Size * Length;
        Assert.Equal((old, sent, 0), (_output.Count(Old), _output.Count(New), _output.Count(Fill)));
        GuestQueue receive = Driver.Queues[VirtioConsole.ReceiveQueue];
        Assert.Equal(1, ((IInputSink)_ports[0].Input).Receive([New]));
        for (byte last = 0; last != New;)
        {
            receive.Describe(0, Buffers + 0x10_0000, 64, VirtqDescFlags.Write);
            VirtqUsedElem used = receive.Transact(0)!.Value;
            last = receive.Bytes(Buffers + 0x10_0000, (int)used.Len)[^1];
            Assert.Contains(last, new[] { Input, New });
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _loop.Dispose();
    }

    // Up to what waits for a driver, to the console and to the port that has no buffers.
    private void Give(int count)
    {
        byte[] bytes = new byte[Math.Min(count, 4095 - _given)];
        Array.Fill(bytes, Input);
        _given += bytes.Length;
        foreach (ConsolePort port in _ports.AsSpan(0, 2)) _ = ((IInputSink)port.Input).Receive(bytes);
    }

    private (uint Port, VirtioConsoleEvent What) Hear()
    {
        Heard.Describe(0, Buffers + 0x20_0000, 128, VirtqDescFlags.Write);
        Assert.NotNull(Heard.Transact(0));
        VirtioConsoleMessage message = MemoryMarshal.Read<VirtioConsoleMessage>(Heard.Bytes(Buffers + 0x20_0000, 8));
        return (message.Port, (VirtioConsoleEvent)message.Event);
    }

    private static void Message(GuestQueue queue, ushort head, ulong at, uint port, VirtioConsoleEvent what)
    {
        queue.Ram.Store(at, new VirtioConsoleMessage { Port = port, Event = (ushort)what, Value = 1 });
        queue.Describe(head, at, 8, VirtqDescFlags.None);
    }

    private static void Text(GuestQueue queue, ushort head, ulong at, byte fill)
    {
        queue.Bytes(at, Length).Fill(fill);
        queue.Describe(head, at, Length, VirtqDescFlags.None);
    }

    private sealed class Output : IOutputSink
    {
        private readonly int[] _counts = new int[256];

        internal int Count(byte value)
        {
            lock (_counts) return _counts[value];
        }

        public void Write(ReadOnlySpan<byte> bytes)
        {
            lock (_counts) foreach (byte one in bytes) _counts[one]++;
        }

        public long Push() => 0;

        public long Finish() => 0;
    }
}
