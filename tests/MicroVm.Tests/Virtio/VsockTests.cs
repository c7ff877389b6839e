using System.Net.Sockets;
using MicroVm.Devices;
using MicroVm.Virtio.Vsock;
using Xunit;
using static MicroVm.Devices.VirtioVsockOperation;

namespace MicroVm.Tests.Virtio;

public sealed class VsockTests
{
    private const uint HostPort = 5000, Port = VsockGuest.Port;

    [Fact]
    public void Guest_connects_and_bytes_go_both_ways()
    {
        using VsockGuest guest = new();
        using Socket host = guest.Open(HostPort);
        Assert.True(guest.Send(Data, HostPort, Port, "to the host"u8));
        byte[] got = new byte[11];
        host.ReceiveExactly(got);
        Assert.Equal("to the host"u8, got);
        host.Send("to the guest"u8);
        (VirtioVsockHeader header, byte[] data) = guest.Next();
        Assert.Equal(Data, (VirtioVsockOperation)header.Operation);
        Assert.Equal((HostPort, Port), (header.SourcePort, header.DestinationPort));
        Assert.Equal("to the guest"u8, data);
        Assert.Equal(11u, header.Forwarded);
    }

    [Fact]
    public void Host_connects_and_is_told_its_port()
    {
        using VsockGuest guest = new();
        using Socket host = guest.Connect();
        host.Send("CONN"u8);
        // A packet that nothing comes of: the device has then looked at the half of the line.
        Assert.True(guest.Send(Reset, HostPort, Port));
        host.Send("ECT 1000\nbehind"u8);
        VirtioVsockHeader request = guest.Expect(Request);
        Assert.Equal(1000u, request.DestinationPort);
        Assert.True(guest.Send(Response, request.SourcePort, 1000));
        byte[] line = new byte[$"OK {request.SourcePort}\n".Length];
        host.ReceiveExactly(line);
        Assert.Equal($"OK {request.SourcePort}\n", System.Text.Encoding.ASCII.GetString(line));
        Assert.Equal("behind"u8, guest.Next().Data);
    }

    [Theory]
    [InlineData("CONNECT\n")]
    [InlineData("CONNECT x\n")]
    [InlineData("CONNECT 1 \n")]
    [InlineData("CONNECT -1\n")]
    [InlineData("CONNECT 4294967296\n")]
    [InlineData("connect 1\n")]
    [InlineData("GET / HTTP/1.1\r\n\r\n")]
    [InlineData("\n")]
    [InlineData("CONNECT 00000000000000000000000000000001\n")]
    public void Host_that_says_something_else_is_cut_off(string greeting)
    {
        using VsockGuest guest = new();
        using Socket host = guest.Connect();
        host.Send(System.Text.Encoding.ASCII.GetBytes(greeting));
        Assert.True(IsCut(host));
        Assert.True(GuestDriver.Eventually(() => guest.Device.Connections == 0));
    }

    [Fact]
    public void Guest_that_refuses_closes_the_host_end()
    {
        using VsockGuest guest = new();
        using Socket host = guest.Connect();
        host.Send("CONNECT 9\n"u8);
        VirtioVsockHeader request = guest.Expect(Request);
        Assert.True(guest.Send(Reset, request.SourcePort, 9));
        Assert.True(IsCut(host));
    }

    [Fact]
    public void V2_listener_that_closed_refuses_and_the_next_one_is_found()
    {
        using VsockGuest guest = new();
        guest.Listen(HostPort).Dispose(); // its path stays behind
        Assert.True(guest.Send(Request, HostPort, Port));
        _ = guest.Expect(Reset);
        File.Delete($"{guest.Path}_{HostPort}");
        using Socket host = guest.Open(HostPort);
        Assert.True(guest.Send(Data, HostPort, Port, "again"u8));
        byte[] got = new byte[5];
        host.ReceiveExactly(got);
        Assert.Equal("again"u8, got);
    }

    [Fact]
    public void V2_half_close_of_either_side_lets_the_other_go_on()
    {
        using VsockGuest guest = new();
        using Socket host = guest.Open(HostPort);
        host.Send("last"u8);
        host.Shutdown(SocketShutdown.Send);
        Assert.Equal("last"u8, guest.Next().Data);
        VirtioVsockHeader end = guest.Expect(Shutdown);
        Assert.Equal((uint)VirtioVsockShutdown.Send, end.Flags);
        Assert.True(guest.Send(Data, HostPort, Port, "still"u8));
        Assert.True(guest.Send(Shutdown, HostPort, Port, default, static h => h with { Flags = (uint)VirtioVsockShutdown.Send }));
        byte[] got = new byte[5];
        host.ReceiveExactly(got);
        Assert.Equal("still"u8, got);
        Assert.Equal(0, host.Receive(got));
        guest.Expect(Reset);
        Assert.True(GuestDriver.Eventually(() => guest.Device.Connections == 0));
    }

    [Fact]
    public void V2_peer_that_closes_is_read_to_its_end()
    {
        using VsockGuest guest = new();
        Socket host = guest.Open(HostPort);
        byte[] sent = new byte[100_000];
        new Random(3).NextBytes(sent);
        host.Send(sent);
        host.Dispose();
        List<byte> got = [];
        while (got.Count < sent.Length) got.AddRange(guest.Next().Data);
        Assert.Equal(sent, got);
        Assert.Equal((uint)(VirtioVsockShutdown.Send | VirtioVsockShutdown.Receive), guest.Expect(Shutdown).Flags);
        Assert.True(guest.Send(Reset, HostPort, Port));
        Assert.True(GuestDriver.Eventually(() => guest.Device.Connections == 0));
    }

    [Fact]
    public void Guest_gets_no_more_than_it_has_room_for()
    {
        using VsockGuest guest = new();
        using Socket listener = guest.Listen(HostPort);
        Assert.True(guest.Send(Request, HostPort, Port, default, static h => h with { BufferSize = 1000 }));
        guest.Expect(Response);
        using Socket host = listener.Accept();
        host.Send(new byte[2500]);
        Assert.Equal(1000, guest.Next().Data.Length);
        guest.Expect(CreditRequest);
        Assert.True(guest.Send(CreditUpdate, HostPort, Port, default, static h => h with { BufferSize = 1000, Forwarded = 1000 }));
        Assert.Equal(1000, guest.Next().Data.Length);
        guest.Expect(CreditRequest);
        Assert.True(guest.Send(CreditUpdate, HostPort, Port, default, static h => h with { BufferSize = 1000, Forwarded = 2000 }));
        Assert.Equal(500, guest.Next().Data.Length);
    }

    [Fact]
    public void V2_peer_that_never_reads_costs_the_guest_its_credit()
    {
        using VsockGuest guest = new();
        using Socket host = guest.Open(HostPort);
        byte[] part = new byte[16384];
        int sent = 0;
        // Without regard to credit: the kernel's buffer, then ours, then the reset.
        VirtioVsockOperation last = CreditUpdate;
        while (last == CreditUpdate && ++sent < 1000)
        {
            Assert.True(guest.Send(Data, HostPort, Port, part));
            while (last == CreditUpdate && guest.Receive.HasUsed) last = (VirtioVsockOperation)guest.Next().Header.Operation;
        }
        Assert.Equal(Reset, last);
        Assert.InRange(sent, 4, 100);
    }

    [Fact]
    public void V1_packets_that_cannot_be_reset_their_connection_or_are_dropped()
    {
        using VsockGuest guest = new();
        Func<VirtioVsockHeader, VirtioVsockHeader>[] bad =
        [
            static h => h with { Length = 5 }, static h => h with { Length = 65537 }, static h => h with { Length = uint.MaxValue },
            static h => h with { Type = 2 }, static h => h with { Type = 0 }, static h => h with { Operation = 0 }, static h => h with { Operation = 8 }, static h => h with { Operation = 0xffff },
            static h => h with { Operation = (ushort)Request }, static h => h with { Operation = (ushort)Response },
        ];
        foreach (Func<VirtioVsockHeader, VirtioVsockHeader> change in bad)
        {
            using Socket host = guest.Open(HostPort);
            Assert.True(guest.Send(Data, HostPort, Port, "four"u8, change));
            guest.Expect(Reset);
            Assert.True(IsCut(host));
        }
        // Not from this guest, or not to this host: nobody to answer.
        Assert.True(guest.Send(Request, HostPort, Port, default, static h => h with { DestinationCid = 3 }));
        Assert.True(guest.Send(Request, HostPort, Port, default, static h => h with { SourceCid = 8 }));
        Assert.True(guest.Send(Data, 77, 78, "nobody"u8));
        VirtioVsockHeader reset = guest.Expect(Reset);
        Assert.Equal((77u, 78u), (reset.SourcePort, reset.DestinationPort));
        guest.Transmit.DescribeChain(0, null, new Buffer(0x80_0000, 43, false));
        Assert.NotNull(guest.Transmit.Transact(0));
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void V1_port_zero_is_a_port_like_any_other()
    {
        using VsockGuest guest = new();
        for (int i = 0; i < 3; i++)
        {
            using Socket host = guest.Open(0, 0);
            Assert.True(guest.Send(Reset, 0, 0));
            Assert.True(IsCut(host));
        }
        Assert.Equal(0, guest.Device.Connections);
    }

    [Fact]
    public void V1_flood_of_unknown_packets_is_answered_a_limited_number_of_times()
    {
        using VsockGuest guest = new(buffers: false);
        for (uint i = 0; i < 20000; i++) Assert.True(guest.Send(Data, i, i));
        guest.GiveBuffers(64);
        int resets = 0;
        while (GuestDriver.Eventually(() => guest.Receive.HasUsed, 300))
        {
            guest.Expect(Reset);
            resets++;
        }
        Assert.Equal(256, resets);
    }

    [Fact]
    public void V2_ten_thousand_connects_meet_the_limit_and_leak_nothing()
    {
        using VsockGuest guest = new();
        using Socket listener = guest.Listen(HostPort);
        listener.Listen(4000);
        int refused = 0, before = Descriptors();
        for (uint i = 0; i < 10_000; i++)
        {
            Assert.True(guest.Send(Request, HostPort, i + 1));
            if ((VirtioVsockOperation)guest.Next().Header.Operation == Reset) refused++;
        }
        Assert.InRange(guest.Device.Connections, 1, VsockTable.MaxConnections);
        Assert.Equal(10_000 - guest.Device.Connections, refused);
        guest.Driver.Reset();
        Assert.Equal(0, guest.Device.Connections);
        Assert.InRange(Descriptors(), 0, before + 20);
    }

    [Fact]
    public void Reset_ends_all_connections_and_the_next_driver_starts_afresh()
    {
        using VsockGuest guest = new();
        using Socket host = guest.Open(HostPort);
        guest.Driver.Reset();
        Assert.True(IsCut(host));
        Assert.Equal(0, guest.Device.Connections);
    }

    [Fact]
    public void Path_in_use_is_refused_and_a_stale_one_replaced()
    {
        using VsockGuest guest = new();
        Assert.Equal(FailureKind.Host, Assert.Throws<MicroVmException>(() => VirtioVsockDevice.Open(new VsockOptions(8, guest.Path))).Kind);
        string stale = guest.Path + "-stale";
        using (Socket left = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            left.Bind(new UnixDomainSocketEndPoint(stale));
            left.Listen();
            File.Move(stale, stale + "2");
        }
        File.Move(stale + "2", stale);
        VirtioVsockDevice.Open(new VsockOptions(8, stale)).Dispose();
        Assert.False(File.Exists(stale));
        File.WriteAllText(stale, "no socket");
        Assert.Throws<MicroVmException>(() => VirtioVsockDevice.Open(new VsockOptions(8, stale)));
        Assert.Throws<MicroVmException>(() => VirtioVsockDevice.Open(new VsockOptions(8, new string('x', 108))));
        Assert.Throws<MicroVmException>(() => VirtioVsockDevice.Open(new VsockOptions(2, guest.Path + "3")));
    }

    private static int Descriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    private static bool IsCut(Socket host)
    {
        try
        {
            host.ReceiveTimeout = 5000;
            return host.Receive(new byte[1]) == 0;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionReset;
        }
    }
}

internal static class SocketExtensions
{
    internal static void ReceiveExactly(this Socket socket, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            int n = socket.Receive(into);
            Assert.True(n > 0, "the stream ended early");
            into = into[n..];
        }
    }
}
