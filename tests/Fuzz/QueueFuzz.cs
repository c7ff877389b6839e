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
    private const ulong Requests = HostileRings.Requests, MemSize = 256UL << 20;

    [Fact]
    public void Block()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[1 << 20]);
            FuzzRun.Run("virtio-block", random => Live(
                random, Disk(random, path), 0, HostileRings.BlockHeader,
                new(Requests, 16, false), new(Requests + 512, 512, true), new(Requests + 64, 1, true)));
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
        using EventLoop loop = new("fuzz", ThreadOwner.Process);
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
        using EventLoop loop = new("fuzz", ThreadOwner.Process);
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
            FuzzRun.Run("virtio-vsock", random => Live(
                random, VirtioVsockDevice.Open(new VsockOptions(7, Path.Combine(folder, "v"))),
                VirtioVsock.TransmitQueue, HostileRings.VsockHeader, new Tests.Virtio.Buffer(Requests, 44, false)));
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
            for (int step = 0; step < 60 && !guest.NeedsReset; step++) HostileRings.Step(random, guest, header);
        }
        GuestQueue queueOf = guest.Start(64).Queues[queue];
        queueOf.Bytes(Requests, 1024).Clear();
        queueOf.DescribeChain(0, null, honest);
        Assert.True(queueOf.Transact(0) is not null, "an honest request was not answered");
    }

    // Pages of the free middle of memory, beside anything: an inflated ring would be the end of the life, not a finding.
    private static void PageNumbers(Random random, HostRange request)
    {
        for (uint at = 0; at < 256; at += sizeof(uint)) request.Store(at, random.Next(4) == 0 ? (uint)random.NextInt64(1L << 32) | 0x1_0000u : (uint)random.Next(0x1000, 0x3000));
    }

    private static void Noise(Random random, HostRange request) { }
}
