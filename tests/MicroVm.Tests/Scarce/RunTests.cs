using System.Net.Sockets;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Tests.Virtio;
using Xunit;
using static MicroVm.Devices.VirtioVsockOperation;

namespace MicroVm.Tests.Scarce;

/// <summary>Rows R2 and R3 while a machine runs: streams of sockets, clients of consoles and lines of the log when
/// there are no descriptors or no threads left.</summary>
public sealed class RunTests
{
    private const uint HostPort = 5000, Port = VsockGuest.Port;

    [Fact]
    public void R2_a_stream_for_which_there_is_no_descriptor_is_refused_and_the_others_go_on() =>
        Child.Run(OpenStreams);

    [Fact]
    public void R2_the_host_s_streams_wait_or_are_refused_while_there_is_no_descriptor() => Child.Run(AcceptStreams);

    [Fact]
    public void R2_a_client_of_a_console_is_sent_away_while_there_are_no_descriptors_for_it() =>
        Child.Run(ConsoleClients);

    [Fact]
    public void R3_a_client_of_a_console_is_sent_away_while_there_is_no_thread_for_it() =>
        Child.Run(ConsoleClientsWithoutThreads, "", Scarcity.AsAnybody);

    [Fact]
    public void R3_the_log_costs_its_lines_and_nothing_else_while_there_is_no_thread_for_it() =>
        Child.Run(Log, "", Scarcity.AsAnybody);

    private static void OpenStreams(string none)
    {
        using VsockGuest guest = new();
        using Socket before = guest.Open(HostPort);
        using Socket listener = guest.Listen(HostPort + 1);
        int refused = 0, opened = 0;
        for (int left = 4; left >= 0; left--)
        {
            VirtioVsockOperation answer;
            using (Scarcity.OfDescriptors(HostDescriptors.Reserve + left))
            {
                Assert.True(guest.Send(Request, HostPort + 1, Port + 1));
                VirtioVsockHeader header = guest.Next().Header;
                Assert.Equal((HostPort + 1, Port + 1), (header.SourcePort, header.DestinationPort));
                answer = (VirtioVsockOperation)header.Operation;
                // The one that is open does not mind.
                Assert.True(guest.Send(Data, HostPort, Port, "on"u8));
            }
            byte[] got = new byte[2];
            before.ReceiveExactly(got);
            if (answer == Response)
            {
                opened++;
                listener.Accept().Dispose();
                Assert.Equal(Shutdown, (VirtioVsockOperation)guest.Next().Header.Operation);
                Assert.True(guest.Send(Reset, HostPort + 1, Port + 1));
            }
            else
            {
                refused++;
                Assert.Equal(Reset, answer);
            }
        }
        Assert.Equal((4, 1), (opened, refused));
    }

    private static void AcceptStreams(string none)
    {
        using VsockGuest guest = new();
        using (Socket warm = guest.Connect())
        {
            warm.Send("CONNECT 9\n"u8);
            Assert.True(guest.Send(Reset, guest.Expect(Request).SourcePort, 9));
        }
        // Its descriptor is made before there are none; that it connects needs none of the device's.
        using Socket host = Client();
        using (Scarcity.OfDescriptors(0))
        {
            host.Connect(new UnixDomainSocketEndPoint(guest.Path));
            host.Send("CONNECT 1000\n"u8);
            // Behind it: the device has seen that it cannot take the connection.
            Assert.True(guest.Send(Reset, HostPort, Port));
            Assert.Equal(0, guest.Device.Connections);
        }
        // Whatever wakes the device next, it looks again.
        Assert.True(guest.Send(Reset, HostPort, Port));
        Assert.Equal(1000u, guest.Expect(Request).DestinationPort);
    }

    private static void ConsoleClients(string none)
    {
        string path = Path.Combine(Child.Folder, "s");
        using ConsoleSocket console = new(path, "port", ThreadOwner.Process) { Sink = new Nothing() };
        console.Start();
        Served(path, console);
        int before = Scarcity.Open;
        for (int left = 6; left >= 0; left--)
        {
            using (Socket client = Client())
            {
                using (Scarcity.OfDescriptors(left))
                {
                    client.Connect(new UnixDomainSocketEndPoint(path));
                    // It is served, sent away, or waits for its turn: then nothing happens, for some tries.
                    _ = SpinWait.SpinUntil(() => Hears(client, console), 300);
                }
            }
            Served(path, console);
            bool back = SpinWait.SpinUntil(() => Scarcity.Open == before, 10_000);
            Assert.True(back, $"{left} left: {Scarcity.Open} descriptors, before {before}");
        }
    }

    private static void Served(string path, ConsoleSocket console)
    {
        using Socket client = Client();
        client.Connect(new UnixDomainSocketEndPoint(path));
        Assert.True(SpinWait.SpinUntil(() => Hears(client, console), 10_000), "a client is not served");
        Assert.NotEqual(0, client.Receive(new byte[1]));
    }

    private static void ConsoleClientsWithoutThreads(string none)
    {
        string path = Path.Combine(Child.Folder, "s");
        using ConsoleSocket console = new(path, "port", ThreadOwner.Process) { Sink = new Nothing() };
        console.Start();
        using (Socket first = Client())
        using (Scarcity.OfThreads())
        {
            first.Connect(new UnixDomainSocketEndPoint(path));
            Assert.Equal(0, first.Receive(new byte[1])); // it is closed
        }
        Served(path, console);
    }

    private static void Log(string none)
    {
        string path = Path.Combine(Child.Folder, "log");
        using (FileStream file = File.OpenWrite(path))
        using (OutputPump pump = new((int)file.SafeFileHandle.DangerousGetHandle(), "log"))
        {
            GuestErrors errors = new(pump);
            using (Scarcity.OfThreads()) errors.Report("device", -1, "lost");
            Assert.Equal("microvm: guest error: device: lost\n".Length, pump.Dropped);
            errors.Report("device", -1, "kept");
            Assert.True(pump.TryFlush(TimeSpan.FromSeconds(10)));
        }
        Assert.Equal("microvm: guest error: device: kept\n", File.ReadAllText(path));
    }

    private static Socket Client() =>
        new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };

    // The guest writes: a client that is served has something to read, one that was sent away its end.
    private static bool Hears(Socket client, ConsoleSocket console)
    {
        console.Write("x"u8);
        return client.Poll(1000, SelectMode.SelectRead);
    }

    private sealed class Nothing : IInputSink
    {
        public int Receive(ReadOnlySpan<byte> bytes) => bytes.Length;
    }
}
