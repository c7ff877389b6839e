using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Queue;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>What a turn of a pair of queues does, in its order: each call of the host's end and each interrupt.</summary>
public sealed class NetTurnTests
{
    private const ulong HeaderAt = 0x80_0000, BufferAt = 0x100_0000;

    [Fact]
    public void Answer_shares_turn_and_interrupt_with_what_was_sent()
    {
        Assert.Equal(["send", "receive", "signal 0 and 1", "receive"], TurnOf(frames: 1, answers: 1));
    }

    [Fact]
    public void Without_an_answer_sending_is_announced_by_itself()
    {
        Assert.Equal(["send", "receive", "signal 1"], TurnOf(frames: 1, answers: 0));
    }

    [Fact]
    public void First_of_many_answers_does_not_wait_for_the_others()
    {
        // On a slow machine others are announced on the way, too.
        string[] turn = TurnOf(frames: 4, answers: 4);
        Assert.StartsWith("signal 0", turn[Array.IndexOf(turn, "receive") + 1], StringComparison.Ordinal);
        Assert.Contains(turn[^2..], static s => s.StartsWith("signal 0", StringComparison.Ordinal));
        Assert.Equal(4 + 1, turn.Count(static s => s == "receive"));
    }

    // Kicks once for all frames; the end's descriptor never says anything.
    private static string[] TurnOf(int frames, int answers)
    {
        AnsweringNet net = new(answers);
        using GuestDriver driver = new(net);
        // Without EVENT_IDX, so that each announcement is one.
        driver.Start(64, AllBut(VirtioFeatures.RingEventIdx));
        GuestQueue receive = driver.Queues[VirtioNet.ReceiveQueue], transmit = driver.Queues[VirtioNet.TransmitQueue];
        for (ushort i = 0; i < 8; i++)
        {
            receive.Describe(i, BufferAt + i * 0x1_0000UL, 0x1_0000, VirtqDescFlags.Write);
            receive.Offer(i);
        }
        receive.Publish();
        for (ushort i = 0; i < frames; i++)
        {
            transmit.DescribeChain(i * 2, null, new(HeaderAt, 12, false), new(HeaderAt + 0x1000, 60, false));
            transmit.Offer((ushort)(i * 2));
        }
        transmit.Publish();
        net.Begin();
        Assert.True(net.Ends.WaitOne(5000));
        lock (net.Events) return [.. net.Events];
    }

    private static ulong AllBut(VirtioFeatures feature) => GuestDriver.AllFeatures & ~(ulong)feature;

    /// <summary>A network device that writes down what it does. Its end has an answer to each frame at once, up to a number.</summary>
    private sealed class AnsweringNet(int answers) : VirtioDevice("net", VirtioNet.DeviceId, (ulong)VirtioNetFeatures.MergeRxBuffers, [64, 64], null), IVirtioTransport, INetEnd, ILinkObserver
    {
        internal readonly List<string> Events = [];
        internal readonly ManualResetEvent Ends = new(false);

        private readonly EventLoop _loop = new("turn", ThreadOwner.Process);
        private readonly EventFd _silent = new();
        private NetPair? _pair;
        private int _waiting, _answered;

        public override void Activate(in ActivationContext context)
        {
            Virtqueue receive = new(context.Queues[VirtioNet.ReceiveQueue]!, context.Memory);
            Virtqueue transmit = new(context.Queues[VirtioNet.TransmitQueue]!, context.Memory);
            NetCounters counters = new();
            _pair = new NetPair(_loop, this, new NetReceiver(receive, this, context.Features, counters, null), new NetTransmitter(transmit, this, new FrameCheck(context.Features, null), counters, null), this, this, null);
        }

        /// <summary>Its start is the kick.</summary>
        internal void Begin() => _pair!.Start();

        public override void Reset() => _pair?.Stop();

        public override void Dispose()
        {
            base.Dispose();
            _loop.Dispose();
            _silent.Dispose();
        }

        int INetEnd.Fd => _silent.Fd;
        string INetEnd.Name => "answers";
        bool INetEnd.HasOffloads => false;
        bool INetEnd.HasDatagramOffload => false;
        bool INetEnd.HasFrame => false;
        bool INetEnd.HasTail => false;
        void INetEnd.SetAttached(bool attached) { }
        int INetEnd.State() => 0;
        bool INetEnd.SetOffloads(TapOffloads offloads) => true;
        int INetEnd.Flush() => 0;

        int INetEnd.Send(PacketVectors frame)
        {
            Write("send");
            if (_answered++ < answers) _waiting++;
            return frame.Bytes;
        }

        int INetEnd.Receive(PacketVectors into)
        {
            Write("receive");
            if (_waiting == 0)
            {
                // Behind what is left of the turn: the loop has one thread.
                _ = ThreadPool.UnsafeQueueUserWorkItem(static net => { net._loop.Want(net._silent.Fd, readable: true); net.Ends.Set(); }, this, preferLocal: false);
                return -Libc.EAGAIN;
            }
            _waiting--;
            return 12 + 60;
        }

        void IVirtioTransport.Signal(int queue) => Write($"signal {queue}");
        void IVirtioTransport.SignalBoth(int queue, int other) => Write($"signal {queue} and {other}");
        EventFd IVirtioTransport.CallEvent(int queue) => Transport.CallEvent(queue);
        void IVirtioTransport.ConfigChanged() { }
        void IVirtioTransport.ConfigRefreshed() { }
        void IVirtioTransport.QueueBroken(int queue, QueueFault fault) => Write(fault.ToString());
        void IVirtioTransport.GuestError(string what, string place, ulong number) => Write(what);
        void IVirtioTransport.HostRefused(string what) => Write(what);
        void ILinkObserver.OnTransfer(int error) { }
        void ILinkObserver.OnState(int error) { }

        private void Write(string what)
        {
            lock (Events) Events.Add(what);
        }
    }
}
