using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio;
using MicroVm.Virtio.Balloon;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Mem;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Pmem;
using MicroVm.Virtio.Rng;
using MicroVm.Virtio.Vsock;

namespace MicroVm.Fuzz;

/// <summary>Every virtio device under drivers that break rings, descriptors, requests and registers; after each such life it serves an honest driver.</summary>
/// <remarks>Guest memory lies between inaccessible pages: a byte read or written outside of it ends the process.</remarks>
public sealed class QueueFuzz
{
    private const ulong Requests = 0x80_0000, RequestBytes = 0x1_0000, MemSize = 256UL << 20;

    private static readonly ulong[] s_addresses = [0, 0xfff, Requests, GuestDriver.Ram - 1, GuestDriver.Ram, 0x10_0000, 0x18_0000, 0x1a_0000, 0xc000_0000, 0x1_0000_0000, ulong.MaxValue, ulong.MaxValue - 4095];

    [Fact]
    public void Block()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[1 << 20]);
            FuzzRun.Run("virtio-block", random => Live(random, Disk(random, path), 0, BlockHeader, new(Requests, 16, false), new(Requests + 512, 512, true), new(Requests + 64, 1, true)));
            Assert.Equal(1 << 20, new FileInfo(path).Length);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Rng()
    {
        using EventLoop loop = new("fuzz");
        FuzzRun.Run("virtio-rng", random => Live(random, new VirtioRngDevice(loop), 0, Noise, new Tests.Virtio.Buffer(Requests, 16, true)));
    }

    [Fact]
    public void Balloon()
    {
        FuzzRun.Run("virtio-balloon", random =>
            Live(random, new VirtioBalloonDevice(new BalloonOptions { FreePageReporting = true, DeflateOnOom = true }), VirtioBalloon.DeflateQueue, PageNumbers, new Tests.Virtio.Buffer(Requests, 64, false)));
    }

    [Fact]
    public void Mem()
    {
        FuzzRun.Run("virtio-mem", random =>
        {
            using GuestMemory memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000, MemSize);
            VirtioMemDevice device = new(new MemOptions(MemSize) { RequestedBytes = MemSize / 2 });
            ((IPlacedDevice)device).Place(memory);
            ulong start = device.Blocks.Start;
            LiveIn(memory, random, device, 0, MemRequest, new(Requests, 24, false), new(Requests + 64, 10, true));
            // What the device says is what the guest has, and no more than it was given.
            Assert.InRange(device.Plugged, 0ul, MemSize / 2);
            Assert.Equal(device.Blocks.PresentBytes, memory.Present - GuestDriver.Ram);

            void MemRequest(Random r, HostRange request) => request.Store(0, new VirtioMemRequest
            {
                Type = (ushort)r.Next(r.Next(8) == 0 ? 9 : 4), Addr = r.Next(8) == 0 ? (ulong)r.NextInt64() : start + (ulong)r.Next(0, 256) * MemOptions.LeastBlock, Blocks = (ushort)(r.Next(8) == 0 ? r.Next() : r.Next(1, 80)),
            });
        });
    }

    [Fact]
    public void Pmem()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[2 << 20]);
            FuzzRun.Run("virtio-pmem", random => Live(random, VirtioPmemDevice.Open(new PmemOptions(path), null), 0, Noise, new(Requests, 4, false), new(Requests + 64, 4, true)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Console()
    {
        using EventLoop loop = new("fuzz");
        FuzzRun.Run("virtio-console", random =>
        {
            using OutputPump nowhere = new(-1, "fuzz");
            Live(random, new VirtioConsoleDevice(loop, nowhere), VirtioConsole.TransmitQueue, Noise, new Tests.Virtio.Buffer(Requests, 16, false));
        });
    }

    [Fact]
    public void Net()
    {
        FuzzRun.Run("virtio-net", random =>
        {
            (int device, int host) = NetGuest.Pair();
            VirtioNetDevice net = VirtioNetDevice.Open(new NetOptions { Descriptors = [device] });
            _ = Libc.close(device);
            byte[] frame = new byte[random.Next(1, 3000)];
            random.NextBytes(frame);
            _ = HostIo.Write(host, frame);
            Live(random, net, VirtioNet.TransmitQueue, Noise, new(Requests, 12, false), new(Requests + 64, 60, false));
            _ = Libc.close(host);
        });
    }

    [Fact]
    public void Vsock()
    {
        string folder = Directory.CreateTempSubdirectory("microvm-fuzz").FullName;
        try
        {
            FuzzRun.Run("virtio-vsock", random =>
                Live(random, VirtioVsockDevice.Open(new VsockOptions(7, Path.Combine(folder, "v"))), VirtioVsock.TransmitQueue, VsockHeader, new Tests.Virtio.Buffer(Requests, 44, false)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static VirtioBlockDevice Disk(Random random, string path) => new(FileBackend.Open(path, readOnly: random.Next(4) == 0), new DiskOptions(path)
    {
        Engine = random.Next(3) == 0 ? DiskEngine.Threads : DiskEngine.Auto,
        Queues = random.Next(1, 4),
        Limits = random.Next(4) == 0 ? new RateLimits(0, 20_000, 1) : default,
    });

    // One device: a hostile life, then an honest request in `queue` that must be answered.
    private static void Live(Random random, VirtioDevice device, int queue, Action<Random, HostRange> header, params Tests.Virtio.Buffer[] honest) => LiveIn(null, random, device, queue, header, honest);

    private static void LiveIn(GuestMemory? memory, Random random, VirtioDevice device, int queue, Action<Random, HostRange> header, params Tests.Virtio.Buffer[] honest)
    {
        using GuestDriver guest = new(device, memory);
        for (int life = 0; life < 4; life++)
        {
            _ = guest.Start((uint)(1 << random.Next(0, 9)), (ulong)random.NextInt64() | (random.Next(2) == 0 ? GuestDriver.AllFeatures : (ulong)VirtioFeatures.Version1));
            for (int step = 0; step < 60 && !guest.NeedsReset; step++) Step(random, guest, header);
        }
        GuestQueue queueOf = guest.Start(64).Queues[queue];
        queueOf.Bytes(Requests, 1024).Clear();
        queueOf.DescribeChain(0, null, honest);
        Assert.True(queueOf.Transact(0) is not null, "an honest request was not answered");
    }

    private static void Step(Random random, GuestDriver guest, Action<Random, HostRange> header)
    {
        GuestQueue queue = guest.Queues[random.Next(guest.Queues.Count)];
        random.NextBytes(queue.Bytes(Requests, 256));
        header(random, queue.Ram.Slice(Requests, RequestBytes));
        int count = random.Next(1, Math.Min(9, queue.Size + 1));
        for (int i = 0; i < count; i++) Describe(random, queue, random.Next(10) == 0 ? random.Next(queue.Size) : i, i + 1 < count);
        queue.Offer(random.Next(12) == 0 ? (ushort)random.Next() : (ushort)0);
        if (random.Next(30) == 0) queue.Next += (ushort)random.Next();
        queue.Publish();
        if (random.Next(20) == 0) queue.Ram.StoreIndex(queue.Available, (ushort)random.Next(4));
        queue.Kick();
        if (random.Next(12) == 0) _ = guest.WriteAt((uint)random.Next(0x140), 1 << random.Next(4), (ulong)random.NextInt64() >> random.Next(64));
        if (random.Next(4) == 0) Thread.SpinWait(random.Next(4000));
    }

    // Mostly a chain that could be: the first part is the request, the others are buffers near it.
    private static void Describe(Random random, GuestQueue queue, int index, bool more)
    {
        ulong address = random.Next(12) == 0 ? s_addresses[random.Next(s_addresses.Length)] : index == 0 ? Requests : Requests + (ulong)random.Next((int)RequestBytes);
        uint length = random.Next(12) == 0 ? (uint)random.NextInt64(1L << 32) >> random.Next(32) : index == 0 ? (uint)random.Next(1, 64) : (uint)random.Next(0, 5) * 512;
        VirtqDescFlags flags = (more ? VirtqDescFlags.Next : 0) | (index != 0 && random.Next(2) == 0 ? VirtqDescFlags.Write : 0);
        if (random.Next(25) == 0) flags = (VirtqDescFlags)random.Next(16);
        queue.Describe(index, address, length, flags, random.Next(25) == 0 ? (ushort)random.Next() : (ushort)(index + 1));
    }

    // Pages of the free middle of memory, beside anything: an inflated ring would be the end of the life, not a finding.
    private static void PageNumbers(Random random, HostRange request)
    {
        for (uint at = 0; at < 256; at += sizeof(uint)) request.Store(at, random.Next(4) == 0 ? (uint)random.NextInt64(1L << 32) | 0x1_0000u : (uint)random.Next(0x1000, 0x3000));
    }

    private static void Noise(Random random, HostRange request) { }

    private static void BlockHeader(Random random, HostRange request) =>
        request.Store(0, new VirtioBlockHeader { Type = (uint)random.Next(16), Sector = random.Next(6) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(2100) });

    private static void VsockHeader(Random random, HostRange request) => request.Store(0, new VirtioVsockHeader
    {
        SourceCid = random.Next(16) == 0 ? (ulong)random.NextInt64() : 7, DestinationCid = random.Next(16) == 0 ? (ulong)random.NextInt64() : 2,
        SourcePort = (uint)random.Next(3), DestinationPort = (uint)random.Next(3), Length = random.Next(4) == 0 ? (uint)random.Next() : (uint)random.Next(2048),
        Type = (ushort)(random.Next(16) == 0 ? random.Next() : 1), Operation = (ushort)random.Next(10), Flags = (uint)random.Next(4), BufferSize = (uint)random.Next(), Forwarded = (uint)random.Next(),
    });
}
