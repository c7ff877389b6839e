using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Rng;
using Buffer = MicroVm.Tests.Virtio.Buffer;

namespace MicroVm.Fuzz;

/// <summary>Row Q11 with real devices: while one thread of the guest drives a device, another writes over descriptors,
/// headers of requests and rings. Whatever the device makes of it, no byte outside of guest memory is touched, and an
/// honest driver is served afterwards.</summary>
/// <remarks>Guest memory lies between inaccessible pages: a byte read or written outside of it ends the process.
/// Interleavings are not brought back by a seed: see <see cref="SecondThread"/>. That a device acts on one copy is
/// <see cref="OneCopyFuzz"/>'s.</remarks>
public sealed class RaceFuzz
{
    private const ulong Requests = HostileRings.Requests, Data = Requests + 0x1000, EdgeBytes = 4096;

    [Fact]
    public void Q11_block()
    {
        Reach reach = new("used", "broken");
        FuzzRun.Run("race: virtio-block", random =>
        {
            DiskOptions options = new("") { Engine = random.Next(3) == 0 ? DiskEngine.Threads : DiskEngine.Auto };
            using BlockGuest guest = new(bytes: 1 << 16, options: options);
            Race(random, guest.Driver, 0, reach, (r, queue) =>
            {
                bool write = r.Next(2) == 0;
                queue.Ram.Store(Requests, new VirtioBlockHeader { Type = write ? 1u : 0, Sector = (ulong)r.Next(128) });
                Buffer data = new(Place(r), 512u << r.Next(4), !write);
                return [new(Requests, 16, false), data, new(Requests + 64, 1, true)];
            });
            _ = guest.Driver.Start(16);
            byte[] sector = new byte[512];
            random.NextBytes(sector);
            sector.CopyTo(guest.Data(512));
            Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.Out, 5, 512));
            guest.Data(512).Clear();
            Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.In, 5, 512));
            Assert.Equal(sector, guest.Data(512));
            Assert.Equal(1 << 16, new FileInfo(guest.Path).Length);
        }, reach: reach);
    }

    [Fact]
    public void Q11_net()
    {
        Reach reach = new("used", "broken", "sent", "received");
        byte[] packet = new byte[1 << 17];
        FuzzRun.Run("race: virtio-net", random =>
        {
            using NetGuest guest = new(queueSize: 16);
            Race(random, guest.Driver, VirtioNet.TransmitQueue, reach, (r, queue) =>
            {
                while (HostIo.Read(guest.HostEnd, packet) > 0) { }
                queue.Ram.Store(Requests, default(VirtioNetHeader));
                guest.Frame(60).CopyTo(queue.Bytes(Requests + 12, 60));
                return [new(Requests, 12, false), new(Requests + 12, (uint)r.Next(60, 2000), false)];
            });
            Race(random, guest.Driver, VirtioNet.ReceiveQueue, reach, (r, queue) =>
            {
                _ = guest.HostWrites(packet.AsSpan(0, r.Next(14, 1000)));
                return [new(Requests, 12, true), new(Place(r), (uint)r.Next(1000, 4000), true)];
            }, features: (ulong)VirtioFeatures.Version1);
            reach.Add("sent", guest.Device.Counters.Sent);
            reach.Add("received", guest.Device.Counters.Received);
            _ = guest.Driver.Start(16);
            while (HostIo.Read(guest.HostEnd, packet) > 0) { }
            byte[] frame = guest.Frame(100);
            Assert.NotNull(guest.Send(frame));
            Assert.Equal(frame, guest.HostReads()![12..]);
        }, reach: reach);
    }

    [Fact]
    public void Q11_vsock()
    {
        Reach reach = new("used", "broken", "opened", "bytes");
        FuzzRun.Run("race: virtio-vsock", random =>
        {
            using VsockGuest guest = new();
            int listener = HostSocket.Listen($"{guest.Path}_1");
            int[] streams = [-1, -1, -1];
            byte[] bytes = new byte[1 << 17];
            GuestQueue? last = null;
            Race(random, guest.Driver, VirtioVsock.TransmitQueue, reach, (r, queue) =>
            {
                if (queue != last) guest.GiveBuffers(64);
                last = queue;
                while (guest.TryNext(out _)) { }
                if (HostSocket.Accept(listener) is var fd and >= 0)
                {
                    reach.Add("opened");
                    HostSocket.Close(streams[0]);
                    streams = [streams[1], streams[2], fd];
                }
                foreach (int stream in streams) reach.Add("bytes", Math.Max(0, HostIo.Read(stream, bytes)));
                bool open = r.Next(4) == 0;
                int length = open ? 0 : r.Next(400);
                VirtioVsockOperation operation = open ? VirtioVsockOperation.Request : VirtioVsockOperation.Data;
                queue.Ram.Store(Requests, new VirtioVsockHeader
                {
                    SourceCid = VsockGuest.Cid, DestinationCid = VirtioVsockConst.HostCid, SourcePort = (uint)r.Next(8),
                    DestinationPort = 1, Type = (ushort)VirtioVsockConst.TypeStream, Length = (uint)length,
                    BufferSize = 1 << 20, Operation = (ushort)operation,
                });
                return [new(Requests, 44, false), new(Place(r), (uint)length, false)];
            }, size: 128);
            foreach (int end in (int[])[listener, .. streams]) HostSocket.Close(end);
            _ = guest.Driver.Start(128);
            guest.GiveBuffers(64);
            VsockFuzz.Honest(guest);
        }, reach: reach);
    }

    [Fact]
    public void Q11_rng_and_console()
    {
        Reach reach = new("used", "broken");
        using EventLoop loop = new("fuzz", ThreadOwner.Process);
        FuzzRun.Run("race: virtio-rng, virtio-console", random =>
        {
            using (GuestDriver rng = new(new VirtioRngDevice(loop)))
            {
                Race(random, rng, 0, reach, static (r, _) => [new(Place(r), (uint)r.Next(4096), true)]);
                Honest(rng.Start(16).Queues[0], new Buffer(Data, 16, true));
            }
            using OutputPump nowhere = new(-1, "fuzz");
            using GuestDriver console = new(new VirtioConsoleDevice(loop, nowhere));
            const int queue = VirtioConsole.TransmitQueue;
            Race(random, console, queue, reach, static (r, _) => [new(Place(r), (uint)r.Next(4096), false)]);
            Honest(console.Start(16).Queues[queue], new Buffer(Data, 16, false));
        }, reach: reach);
    }

    // Often before the end of memory: there a length that is looked at twice leads outside.
    private static ulong Place(Random random) => random.Next(2) == 0 ? Data : GuestDriver.Ram - EdgeBytes;

    private static void Honest(GuestQueue queue, params Buffer[] chain)
    {
        queue.DescribeChain(0, null, chain);
        Assert.True(queue.Transact(0) is not null, "an honest request was not answered");
    }

    // Three activations of a device, in each a second thread against one queue.
    private static void Race(
        Random random, GuestDriver guest, int index, Reach reach, Func<Random, GuestQueue, Buffer[]> request,
        uint size = 16, ulong features = GuestDriver.AllFeatures)
    {
        for (int life = 0; life < 3; life++)
        {
            GuestQueue queue = guest.Start(size, features).Queues[index];
            using SecondThread second = new(random.Next(), r => HostileRings.Flip(r, queue));
            bool free = true;
            for (int step = 0; step < 100 && !guest.NeedsReset; step++)
            {
                Buffer[] chain = request(random, queue);
                ushort before = queue.UsedIndex;
                // One that the device still has is given again, which ends the queue, only now and then.
                if (random.Next(16) == 0 || free)
                {
                    queue.DescribeChain(0, null, chain);
                    queue.Submit(0);
                }
                queue.Kick();
                // The index may have been another when it was looked at, and nothing comes.
                _ = GuestDriver.Eventually(() => queue.UsedIndex != before || guest.NeedsReset, 3);
                free = queue.UsedIndex != before;
                if (free) reach.Add("used");
            }
            if (guest.NeedsReset) reach.Add("broken");
        }
    }
}
