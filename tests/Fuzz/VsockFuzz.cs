using System.Text;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Tests.Virtio;

namespace MicroVm.Fuzz;

/// <summary>A socket device whose connections open, in both directions: streams of a driver and a host that keep to the
/// rules more or less, between packets that keep to none. What such streams carry is right whatever is sent beside
/// them.</summary>
/// <remarks>A seed brings back what the driver and the host do, not when the device's thread sees it.</remarks>
public sealed class VsockFuzz
{
    [Fact]
    public void V2_connections()
    {
        Reach reach = new(
            "opened by the guest", "opened by the host", "bytes to the guest", "bytes to the host",
            "shut down by the host", "credit", "reset", "breach of credit", "refused");
        FuzzRun.Run("virtio-vsock, connections", random =>
        {
            using VsockGuest guest = new();
            new Life(guest, reach).Run(random);
            Honest(guest);
        }, reach: reach);
    }

    /// <summary>A connection that is made and used as it should be. Those of the host that waited all the time to be
    /// taken come between.</summary>
    internal static void Honest(VsockGuest guest)
    {
        int listener = HostSocket.Listen($"{guest.Path}_9");
        Assert.True(guest.Send(VirtioVsockOperation.Request, 9, VsockGuest.Port));
        int fd = HostSocket.Accept(listener);
        Assert.True(fd >= 0, "an honest connection was not made");
        _ = Next(guest, VirtioVsockOperation.Response);
        Assert.True(guest.Send(VirtioVsockOperation.Data, 9, VsockGuest.Port, "to the host"u8));
        byte[] got = new byte[100];
        Assert.Equal(11, HostIo.Read(fd, got));
        Assert.Equal("to the host"u8, got[..11]);
        Assert.Equal(12, HostSocket.Send(fd, "to the guest"u8));
        Assert.Equal("to the guest"u8, Next(guest, VirtioVsockOperation.Data));
        foreach (int end in (int[])[fd, listener]) HostSocket.Close(end);
    }

    private static byte[] Next(VsockGuest guest, VirtioVsockOperation operation)
    {
        while (true)
        {
            (VirtioVsockHeader header, byte[] data) = guest.Next();
            if (header.DestinationPort == VsockGuest.Port && header.Operation == (ushort)operation) return data;
        }
    }

    private sealed class Life(VsockGuest guest, Reach reach)
    {
        // Ports of the streams; packets without rules have lower ones.
        private const uint FirstPort = 1000, FirstListener = 100;

        private readonly List<VsockStream> _streams = [];
        // What else the host has open.
        private readonly List<int> _others = [];
        private readonly int[] _listeners = Array.ConvertAll(
            (uint[])[FirstListener, FirstListener + 1, 0, 1], port => HostSocket.Listen($"{guest.Path}_{port}"));

        internal void Run(Random random)
        {
            for (int life = 0; life < 2; life++)
            {
                for (int step = 0; step < 250 && !guest.Driver.NeedsReset; step++)
                {
                    // So that what a step finds does not change what the next one is.
                    Random its = new(random.Next());
                    Step(its);
                    Deliver(its);
                }
                // A reset of the device ends all, and the host sees it.
                guest.Driver.Reset();
                Assert.Equal(0, guest.Device.Connections);
                foreach (VsockStream stream in _streams) stream.HostEnds();
                _streams.Clear();
                _ = guest.Driver.Start(128);
                guest.GiveBuffers(64);
            }
            foreach (int fd in (int[])[.. _listeners, .. _others]) HostSocket.Close(fd);
        }

        private void Step(Random random)
        {
            // Mostly one of the last, which are not over yet.
            int last = random.Next(4) == 0 ? _streams.Count : Math.Min(_streams.Count, 6);
            VsockStream? one = last == 0 ? null : _streams[^(random.Next(last) + 1)];
            switch (random.Next(100))
            {
                case < 8: GuestConnects(random); break;
                case < 16: HostConnects(); break;
                case < 20: Garble(random); break;
                case < 22: Accept(2 + random.Next(2), _others.Add); break;
                case < 60: one?.GuestActs(random); break;
                case < 62: Flood(random, one); break;
                case < 90: one?.HostActs(random); break;
                default: BreakRules(random); break;
            }
        }

        private void GuestConnects(Random random)
        {
            int listener = random.Next(3);
            VsockStream asked = new(guest, reach, -1, FirstListener + (uint)listener, FirstPort + (uint)_streams.Count);
            _streams.Add(asked);
            asked.Say(VirtioVsockOperation.Request);
            // Nobody listens at the third.
            if (listener < 2) Accept(listener, asked.Accept);
        }

        private void HostConnects()
        {
            int fd = HostSocket.Connect(guest.Path);
            if (fd < 0) return;
            uint port = FirstPort + (uint)_streams.Count;
            _streams.Add(new VsockStream(guest, reach, fd, 0, port));
            _ = HostSocket.Send(fd, Encoding.ASCII.GetBytes($"CONNECT {port}\n"));
        }

        private void Accept(int listener, Action<int> take)
        {
            if (HostSocket.Accept(_listeners[listener]) is var fd and >= 0) take(fd);
        }

        // Until the socket is full, and what the device keeps for it, and perhaps once more.
        private void Flood(Random random, VsockStream? stream)
        {
            for (int i = 0; i < 16; i++)
            {
                stream?.GuestSends(random, 30_000);
                Deliver(random);
            }
            if (random.Next(2) == 0) stream?.HostDrains();
        }

        // A program of the host that says something else than it should, or less, and may stay.
        private void Garble(Random random)
        {
            int fd = HostSocket.Connect(guest.Path);
            if (fd < 0) return;
            byte[] line = Encoding.ASCII.GetBytes("CONNECT 12345678901234567890\n"[..random.Next(29)]);
            if (line.Length != 0 && random.Next(2) == 0) line[random.Next(line.Length)] = (byte)random.Next();
            _ = HostSocket.Send(fd, line);
            if (random.Next(2) == 0) HostSocket.Close(fd);
            else _others.Add(fd);
        }

        // A packet without rules, but never of a port that a stream has: its chain comes back.
        private void BreakRules(Random random)
        {
            const ulong at = HostileRings.Requests;
            GuestQueue queue = guest.Transmit;
            HostileRings.VsockHeader(random, queue.Ram.Slice(at, HostileRings.RequestBytes));
            uint length = (uint)random.Next(3000);
            if (random.Next(8) != 0) queue.DescribeChain(100, null, new(at, 44, false), new(at + 64, length, false));
            else queue.Describe(100, at, length % 100, random.Next(2) == 0 ? VirtqDescFlags.Write : 0);
            _ = queue.Transact(100);
        }

        private void Deliver(Random random)
        {
            while (!guest.Driver.NeedsReset && guest.TryNext(out (VirtioVsockHeader Header, byte[] Data) packet))
            {
                uint index = packet.Header.DestinationPort - FirstPort;
                if (index >= (uint)_streams.Count) reach.Add("refused");
                else if (!_streams[(int)index].Dead) _streams[(int)index].GuestGets(packet.Header, packet.Data, random);
            }
        }
    }
}
