using System.Globalization;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio;
using MicroVm.Virtio.Balloon;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Rng;
using MicroVm.Virtio.Vsock;
using Xunit;
using Buffer = MicroVm.Tests.Virtio.Buffer;

namespace MicroVm.Tests.Scarce;

/// <summary>Rows R2 and R3 while a machine runs: a driver starts a device when the host has no descriptors or no
/// threads left. The device asks for a reset, and works after one when there are some again.</summary>
public sealed class StartTests
{
    private const int Enough = 40;
    private static readonly RateLimits s_limits = new(1 << 30, 0);

    // The devices that want something of the host when a driver starts them.
    public static TheoryData<string> Devices =>
    [
        "disk", "disk of four queues and limits", "disk on threads", "net", "net with limits", "vsock", "console",
        "rng", "balloon",
    ];

    [Theory]
    [MemberData(nameof(Devices))]
    public void R2_a_device_that_starts_with_few_descriptors_left_works_or_asks_for_a_reset(string device) =>
        Child.Run(WithFewDescriptors, device);

    [Theory]
    [MemberData(nameof(Devices))]
    public void R3_a_device_that_starts_without_a_thread_left_asks_for_a_reset(string device) =>
        Child.Run(WithoutThreads, device, Scarcity.AsAnybody);

    private static void WithFewDescriptors(string name)
    {
        int before = 0, refused = 0, worked = 0;
        for (int left = Enough; left >= 0; left--)
        {
            using (Starting starting = new(name))
            {
                bool ready;
                using (Scarcity.OfDescriptors(left)) ready = starting.Start();
                Assert.True(ready || starting.Driver.Errors.Host!.Count > 0, $"{left} left: no one is told");
                if (ready) worked++;
                else refused++;
                starting.Driver.Reset();
                Assert.True(starting.Start(), $"{left} left: it does not work afterwards");
                starting.Serve();
            }
            // The first one makes what the process keeps.
            int open = Scarcity.Open;
            if (left == Enough) before = open;
            else Assert.True(open == before, $"{left} left: {open} descriptors are open, before {before}");
        }
        Console.WriteLine($"{worked} worked, {refused} refused");
        Assert.InRange(refused, NeedsDescriptors(name) ? 1 : 0, Enough);
        Assert.InRange(worked, 1, Enough + 1);
    }

    private static void WithoutThreads(string name)
    {
        using (Starting warm = new(name)) Assert.True(warm.Start());
        using Starting starting = new(name);
        bool ready;
        using (Scarcity.OfThreads()) ready = starting.Start();
        Assert.False(ready);
        Assert.Equal((0, 1), (starting.Driver.Errors.Count, starting.Driver.Errors.Host!.Count));
        starting.Driver.Reset();
        Assert.True(starting.Start());
        starting.Serve();
    }

    // Those that share a loop have all that they need from their making on.
    private static bool NeedsDescriptors(string name) => name is not ("console" or "rng" or "balloon");

    private sealed class Starting : IDisposable
    {
        private readonly EventLoop _loop = new("devices", ThreadOwner.Process);
        private readonly string _path = Path.Combine(Child.Folder, "image");
        private readonly int _host = -1;

        internal Starting(string name)
        {
            VirtioDevice device = name switch
            {
                "disk" => Disk(new DiskOptions(_path)),
                "disk of four queues and limits" => Disk(new DiskOptions(_path) { Queues = 4, Limits = s_limits }),
                "disk on threads" => Disk(new DiskOptions(_path) { Engine = DiskEngine.Threads }),
                "net" => Net(default, out _host),
                "net with limits" => Net(s_limits, out _host),
                "vsock" => VirtioVsockDevice.Open(new VsockOptions(7, Path.Combine(Child.Folder, "v"))),
                "console" => new VirtioConsoleDevice(_loop, (OutputPump?)null),
                "balloon" => new VirtioBalloonDevice(new BalloonOptions()),
                _ => new VirtioRngDevice(_loop),
            };
            Driver = new GuestDriver(device);
        }

        internal GuestDriver Driver { get; }

        internal bool Start()
        {
            Assert.True(Driver.Negotiate());
            Driver.AddQueues(8);
            Driver.DriverOk();
            Assert.Equal(GuestDriver.Ready, Driver.Status & ~(uint)VirtioMmio.Bits.StatusNeedsReset);
            return Driver.Status == GuestDriver.Ready;
        }

        /// <summary>A request of each queue that takes one at any time.</summary>
        internal void Serve()
        {
            foreach (GuestQueue queue in Driver.Queues)
            {
                switch (Driver.Mmio.Device)
                {
                    case VirtioBlockDevice:
                        ulong at = queue.Data;
                        queue.Ram.Store(at, new VirtioBlockHeader { Type = (uint)VirtioBlockType.In, Sector = 1 });
                        Buffer data = new(at + 512, 512, true), status = new(at + 16, 1, true);
                        queue.DescribeChain(0, null, new(at, 16, false), data, status);
                        Assert.Equal(513u, queue.Transact(0)!.Value.Len);
                        break;
                    case VirtioRngDevice:
                        queue.DescribeChain(0, null, new Buffer(queue.Data, 16, true));
                        Assert.Equal(16u, queue.Transact(0)!.Value.Len);
                        break;
                    case VirtioNetDevice or VirtioVsockDevice or VirtioConsoleDevice when queue.Index == 1:
                        queue.DescribeChain(0, null, new Buffer(queue.Data, 100, false));
                        Assert.NotNull(queue.Transact(0));
                        break;
                    case VirtioBalloonDevice when queue.Index < 2:
                        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
                        Assert.NotNull(queue.Transact(0));
                        break;
                }
            }
        }

        public void Dispose()
        {
            Driver.Dispose();
            _loop.Dispose();
            if (_host >= 0) _ = Kvm.Libc.close(_host);
        }

        private VirtioBlockDevice Disk(DiskOptions options)
        {
            File.WriteAllBytes(_path, new byte[1 << 16]);
            return new VirtioBlockDevice(FileBackend.Open(_path, readOnly: false), options);
        }

        private static VirtioNetDevice Net(RateLimits limits, out int host)
        {
            (int device, host) = NetGuest.Pair();
            VirtioNetDevice net = VirtioNetDevice.Open(new NetOptions { Descriptors = [device], Limits = limits });
            _ = Kvm.Libc.close(device);
            return net;
        }
    }
}
