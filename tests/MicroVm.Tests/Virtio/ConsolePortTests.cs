using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Console;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Named ports: what the driver is told, in which order, and what it may say.</summary>
public sealed class ConsolePortTests : IDisposable
{
    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly Sink _out = new();
    private readonly ConsolePort[] _ports;
    private readonly VirtioConsoleDevice _console;
    private readonly GuestDriver _guest;

    public ConsolePortTests()
    {
        _ports = [new ConsolePort(0, null, null), new ConsolePort(1, "agent", _out), new ConsolePort(2, "log", null)];
        _console = new VirtioConsoleDevice(_loop, _ports, (80, 25));
        _guest = new GuestDriver(_console);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [Fact]
    public void Driver_learns_of_every_port_its_name_its_size_and_who_is_there()
    {
        _ = _guest.Start(16);
        Assert.Equal(8, _guest.Queues.Count);
        Assert.Equal(3u, _guest.Mmio.Device.Config!.Read(4, 4, out ulong ports) == Bus.IoStatus.Ok ? (uint)ports : 0);
        _console.SetHostOpen(_ports[2], false);
        Say(0, VirtioConsoleEvent.DeviceReady, 1);
        Assert.Equal([(0u, VirtioConsoleEvent.PortAdd, ""), (1u, VirtioConsoleEvent.PortAdd, ""), (2u, VirtioConsoleEvent.PortAdd, "")], [Hear(), Hear(), Hear()]);
        Say(0, VirtioConsoleEvent.PortReady, 1);
        Assert.Equal([(0u, VirtioConsoleEvent.ConsolePort, ""), (0u, VirtioConsoleEvent.Resize, "P\0\u0019\0"), (0u, VirtioConsoleEvent.PortOpen, "")], [Hear(), Hear(), Hear()]);
        Say(1, VirtioConsoleEvent.PortReady, 1);
        Assert.Equal([(1u, VirtioConsoleEvent.PortName, "agent"), (1u, VirtioConsoleEvent.PortOpen, "")], [Hear(), Hear()]);
        Assert.Equal(1, _lastValue);
        Say(2, VirtioConsoleEvent.PortReady, 1);
        Assert.Equal([(2u, VirtioConsoleEvent.PortName, "log"), (2u, VirtioConsoleEvent.PortOpen, "")], [Hear(), Hear()]);
        Assert.Equal(0, _lastValue);
        _console.Resize(132, 50);
        Assert.Equal((0u, VirtioConsoleEvent.Resize, "\u0084\u00002\0"), Hear());
    }

    [Fact]
    public void Bytes_go_both_ways_once_the_guest_has_opened_its_end()
    {
        GuestQueue transmit = _guest.Start(16).Queues[_ports[1].TransmitQueue], receive = _guest.Queues[_ports[1].ReceiveQueue];
        "to the host"u8.CopyTo(transmit.Bytes(transmit.Data, 11));
        transmit.DescribeChain(0, null, new Buffer(transmit.Data, 11, false));
        Assert.NotNull(transmit.Transact(0));
        Assert.Equal("to the host", _out.Text);
        Assert.Equal(12, ((IInputSink)_ports[1].Input).Receive("to the guest"u8));
        receive.DescribeChain(0, null, new Buffer(receive.Data, 100, true));
        receive.Submit(0);
        receive.Kick();
        LoopFence.Pass(_loop);
        Assert.False(receive.HasUsed);
        Say(1, VirtioConsoleEvent.PortOpen, 1);
        Assert.Equal(12u, receive.Wait()!.Value.Len);
        Assert.Equal("to the guest"u8, receive.Bytes(receive.Data, 12));
    }

    [Fact]
    public void D3_messages_that_mean_nothing_are_counted_and_nothing_grows()
    {
        _ = _guest.Start(16);
        Random random = new(5);
        GuestQueue control = _guest.Queues[VirtioConsole.ControlTransmitQueue];
        for (int i = 0; i < 20_000; i++)
        {
            int length = random.Next(20);
            random.NextBytes(control.Bytes(control.Data, length));
            control.DescribeChain(0, null, new Buffer(control.Data, (uint)length, false));
            Assert.NotNull(control.Transact(0));
        }
        Assert.InRange(_console.Ignored, 19_000, 20_000);
        for (int i = 0; i < 1000; i++) Say(0, VirtioConsoleEvent.DeviceReady, 1);
        Assert.Equal([(0u, VirtioConsoleEvent.PortAdd, ""), (1u, VirtioConsoleEvent.PortAdd, ""), (2u, VirtioConsoleEvent.PortAdd, "")], [Hear(), Hear(), Hear()]);
        GuestQueue heard = _guest.Queues[VirtioConsole.ControlReceiveQueue];
        heard.Submit(0);
        heard.Kick();
        LoopFence.Pass(_loop);
        Assert.False(heard.HasUsed);
    }

    [Fact]
    public void A_driver_of_one_port_has_the_console_alone()
    {
        Assert.True(_guest.Negotiate(~(ulong)VirtioConsoleFeatures.MultiPort));
        _guest.AddQueues(16);
        _guest.DriverOk();
        GuestQueue receive = _guest.Queues[VirtioConsole.ReceiveQueue];
        receive.DescribeChain(0, null, new Buffer(receive.Data, 100, true));
        receive.Submit(0);
        receive.Kick();
        Assert.Equal(2, _console.InputSink.Receive("ab"u8));
        Assert.Equal(2u, receive.Wait()!.Value.Len);
    }

    [Fact]
    public void A_reset_forgets_what_the_driver_said()
    {
        _ = _guest.Start(16);
        Say(0, VirtioConsoleEvent.DeviceReady, 1);
        Say(1, VirtioConsoleEvent.PortReady, 1);
        _guest.Reset();
        Assert.All(_ports, static p => Assert.Equal((false, ConsoleNews.None), (p.Ready, p.News)));
    }

    [Fact]
    public void A_socket_has_one_client_after_the_other_and_drops_what_nobody_hears()
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("microvm-port-").FullName, "s");
        List<bool> opened = [];
        Sink input = new();
        using (ConsoleSocket socket = new(path, "port", ThreadOwner.Process))
        {
            (socket.Sink, socket.Opened) = (input, open => { lock (opened) opened.Add(open); });
            socket.Write("nobody"u8);
            socket.Start();
            for (int client = 0; client < 2; client++)
            {
                using Socket s = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
                s.Connect(new UnixDomainSocketEndPoint(path));
                Assert.True(GuestDriver.Eventually(() => { lock (opened) return opened.Count == 2 * client + 1; }));
                socket.Write("hello\n"u8);
                byte[] got = new byte[6];
                for (int n = 0; n < got.Length;) n += s.Receive(got.AsSpan(n));
                Assert.Equal("hello\n"u8, got);
                _ = s.Send("back"u8);
                Assert.True(GuestDriver.Eventually(() => input.Text.Length == 4 * (client + 1)));
                s.Close();
                Assert.True(GuestDriver.Eventually(() => { lock (opened) return opened.Count == 2 * client + 2; }));
            }
            Assert.Equal(6, socket.Dropped);
            Assert.ThrowsAny<MicroVmException>(() => new ConsoleSocket(path, "second", ThreadOwner.Process));
        }
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void A_client_that_never_reads_costs_output_only()
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("microvm-port-").FullName, "s");
        using ConsoleSocket socket = new(path, "port", ThreadOwner.Process);
        socket.Start();
        using Socket deaf = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        deaf.Connect(new UnixDomainSocketEndPoint(path));
        byte[] block = new byte[1 << 20];
        for (int i = 0; i < 1024; i++) socket.Write(block);   // 1 GiB
        Assert.InRange(socket.Dropped, (1L << 30) - (2 << 20), 1L << 30);
    }

    private int _lastValue;

    private void Say(uint port, VirtioConsoleEvent what, ushort value)
    {
        GuestQueue control = _guest.Queues[VirtioConsole.ControlTransmitQueue];
        VirtioConsoleMessage message = new() { Port = port, Event = (ushort)what, Value = value };
        MemoryMarshal.Write(control.Bytes(control.Data, 8), message);
        control.DescribeChain(0, null, new Buffer(control.Data, 8, false));
        Assert.NotNull(control.Transact(0));
    }

    private (uint Port, VirtioConsoleEvent What, string More) Hear()
    {
        GuestQueue control = _guest.Queues[VirtioConsole.ControlReceiveQueue];
        control.DescribeChain(0, null, new Buffer(control.Data, 128, true));
        int length = (int)control.Transact(0)!.Value.Len;
        VirtioConsoleMessage message = MemoryMarshal.Read<VirtioConsoleMessage>(control.Bytes(control.Data, 8));
        _lastValue = message.Value;
        return (message.Port, (VirtioConsoleEvent)message.Event, Encoding.Latin1.GetString(control.Bytes(control.Data, length)[8..]));
    }

    private sealed class Sink : IOutputSink, IInputSink
    {
        private readonly StringBuilder _text = new();

        internal string Text
        {
            get { lock (_text) return _text.ToString(); }
        }

        public void Write(ReadOnlySpan<byte> bytes)
        {
            lock (_text) _text.Append(Encoding.Latin1.GetString(bytes));
        }

        public int Receive(ReadOnlySpan<byte> bytes)
        {
            Write(bytes);
            return bytes.Length;
        }

        public long Push() => 0;

        public long Finish() => 0;
    }
}
