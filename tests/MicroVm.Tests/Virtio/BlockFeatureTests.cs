using System.Diagnostics;
using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Queue;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>What a disk can beside reading and writing.</summary>
public sealed class BlockFeatureTests
{
    private const VirtioBlockStatus Ok = VirtioBlockStatus.Ok, IoErr = VirtioBlockStatus.IoErr, Unsupported = VirtioBlockStatus.Unsupported;

    [Theory]
    [InlineData(DiskEngine.Auto)]
    [InlineData(DiskEngine.Threads)]
    public void Discard_and_zeroes_change_what_they_name_and_nothing_else(DiskEngine engine)
    {
        using BlockGuest guest = new(options: new DiskOptions("") { Engine = engine });
        byte[] wanted = guest.Image();
        Assert.Equal(Ok, Range(guest, VirtioBlockType.Discard, 16, 64));
        Assert.Equal(Ok, Range(guest, VirtioBlockType.WriteZeroes, 200, 8));
        Assert.Equal(Ok, Range(guest, VirtioBlockType.WriteZeroes, 301, 3, VirtioBlockRangeFlags.Unmap));
        Assert.Equal(Ok, Range(guest, VirtioBlockType.WriteZeroes, 2047, 1));
        foreach ((int sector, int count) in ((int, int)[])[(16, 64), (200, 8), (301, 3), (2047, 1)]) wanted.AsSpan(sector * 512, count * 512).Clear();
        Assert.Equal(wanted, guest.Image());
    }

    [Fact]
    public void Discard_gives_space_back()
    {
        using BlockGuest guest = new();
        long before = Blocks(guest.Path);
        Assert.Equal(Ok, Range(guest, VirtioBlockType.Discard, 0, 1024));
        Assert.InRange(Blocks(guest.Path), 0, before - 1000);
        Assert.Equal(1 << 20, guest.Image().Length);
    }

    [Theory]
    [InlineData(VirtioBlockType.Discard, 0ul, 0u, 0u, IoErr)]
    [InlineData(VirtioBlockType.Discard, 2048ul, 1u, 0u, IoErr)]
    [InlineData(VirtioBlockType.Discard, 2047ul, 2u, 0u, IoErr)]
    [InlineData(VirtioBlockType.Discard, ulong.MaxValue, 1u, 0u, IoErr)]
    [InlineData(VirtioBlockType.Discard, ulong.MaxValue / 512 + 1, 8u, 0u, IoErr)]
    [InlineData(VirtioBlockType.Discard, 0ul, uint.MaxValue, 0u, IoErr)]
    [InlineData(VirtioBlockType.Discard, 0ul, 8u, 1u, Unsupported)]
    [InlineData(VirtioBlockType.Discard, 0ul, 8u, 2u, Unsupported)]
    [InlineData(VirtioBlockType.WriteZeroes, 2041ul, 8u, 0u, IoErr)]
    [InlineData(VirtioBlockType.WriteZeroes, 1ul << 60, 8u, 1u, IoErr)]
    [InlineData(VirtioBlockType.WriteZeroes, 0ul, 0u, 1u, IoErr)]
    [InlineData(VirtioBlockType.WriteZeroes, 0ul, 8u, 0x8000_0000u, Unsupported)]
    public void B2_range_that_cannot_be_fails_alone(VirtioBlockType type, ulong sector, uint count, uint flags, VirtioBlockStatus status)
    {
        using BlockGuest guest = new();
        byte[] before = guest.Image();
        Assert.Equal(status, Range(guest, type, sector, count, (VirtioBlockRangeFlags)flags));
        Assert.Equal(before, guest.Image());
        Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 2047, 512));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(15u)]
    [InlineData(17u)]
    [InlineData(32u)]
    public void B2_no_segment_half_a_one_or_two_fail(uint bytes)
    {
        using BlockGuest guest = new();
        byte[] before = guest.Image();
        Store(guest, 0, 8, 0);
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.Discard, 0, bytes, writable: false));
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.WriteZeroes, 0, bytes, writable: false));
        Assert.Equal(before, guest.Image());
    }

    [Fact]
    public void B2_ranges_that_were_not_agreed_on_or_on_a_read_only_disk_are_unsupported()
    {
        using (BlockGuest guest = new(features: (ulong)VirtioFeatures.Version1)) Assert.Equal(Unsupported, Range(guest, VirtioBlockType.Discard, 0, 8));
        using BlockGuest readOnly = new(readOnly: true);
        Assert.Equal(0ul, readOnly.Driver.OfferedFeatures() & (ulong)(VirtioBlockFeatures.Discard | VirtioBlockFeatures.WriteZeroes | VirtioBlockFeatures.Flush));
        Assert.Equal(Unsupported, Range(readOnly, VirtioBlockType.WriteZeroes, 0, 8));
    }

    [Fact]
    public void B4_zeroes_never_make_a_file_longer_that_was_cut_short()
    {
        using BlockGuest guest = new();
        using (HostFile file = HostFile.TryOpen(guest.Path, Libc.O_RDWR, out _)!) Assert.Equal(0, file.Truncate(4096));
        Assert.Equal(IoErr, Range(guest, VirtioBlockType.WriteZeroes, 100, 8));
        Assert.Equal(IoErr, Range(guest, VirtioBlockType.Discard, 7, 2));
        Assert.Equal(4096, guest.Image().Length);
    }

    [Fact]
    public void File_system_without_either_gets_zeroes_written_and_refuses_a_discard()
    {
        using TransferVectors vectors = new(1, 4);
        BlockRequest request = new() { Type = VirtioBlockType.WriteZeroes, Operation = BlockOperation.ZeroRange, Offset = 512, Left = 1 << 20 };
        Assert.Null(BlockSteps.Next(ref request, -Libc.EOPNOTSUPP, vectors, 0));
        Assert.Equal(BlockOperation.WriteZeroes, request.Operation);
        string path = Path.GetTempFileName();
        byte[] content = new byte[2 << 20];
        Array.Fill(content, (byte)7);
        File.WriteAllBytes(path, content);
        using HostFile file = HostFile.TryOpen(path, Libc.O_RDWR, out _)!;
        VirtioBlockStatus? end = null;
        int steps = 0;
        for (; end is null && steps < 100; steps++) end = BlockSteps.Next(ref request, file.Transfer(vectors, 0, write: true, request.Offset, 0), vectors, 0);
        Assert.Equal((Ok, 4), (end, steps));
        content.AsSpan(512, 1 << 20).Clear();
        Assert.Equal(content, File.ReadAllBytes(path));
        File.Delete(path);
        request = new() { Type = VirtioBlockType.Discard, Operation = BlockOperation.PunchHole, Left = 512 };
        Assert.Equal(Unsupported, BlockSteps.Next(ref request, -Libc.EOPNOTSUPP, vectors, 0));
    }

    [Fact]
    public void B5_interrupted_and_short_steps_go_on_where_they_stopped()
    {
        using TransferVectors vectors = new(1, 4);
        BlockRequest request = new() { Type = VirtioBlockType.In, Operation = BlockOperation.Read, Offset = 4096, Left = 1024 };
        Assert.Null(BlockSteps.Next(ref request, -Libc.EINTR, vectors, 0));
        Assert.Equal((4096ul, 1024ul), (request.Offset, request.Left));
        Assert.Null(BlockSteps.Next(ref request, 1000, vectors, 0));
        Assert.Equal((5096ul, 24ul), (request.Offset, request.Left));
        Assert.Equal(Ok, BlockSteps.Next(ref request, 24, vectors, 0));
        // A device that cannot be tried is waited for, once.
        request.Left = 512;
        Assert.Null(BlockSteps.Next(ref request, -Libc.EAGAIN, vectors, 0));
        Assert.True(request.Waits);
        foreach (int error in (int[])[Libc.EIO, Libc.ENOSPC, Libc.ENOMEM, Libc.EAGAIN])
        {
            request.Left = 512;
            Assert.Equal(IoErr, BlockSteps.Next(ref request, -error, vectors, 0));
        }
        Assert.Equal(IoErr, BlockSteps.Next(ref request, 0, vectors, 0));
    }

    [Fact]
    public void Driver_that_does_not_flush_gets_durable_writes()
    {
        using TransferVectors vectors = new(1, 4);
        BlockRequest request = new() { Type = VirtioBlockType.WriteZeroes, Operation = BlockOperation.ZeroRange, Durable = true };
        Assert.Null(BlockSteps.Next(ref request, 0, vectors, 0));
        Assert.Equal(BlockOperation.Flush, request.Operation);
        Assert.Equal(Ok, BlockSteps.Next(ref request, 0, vectors, 0));
    }

    [Fact]
    public void Mode_of_the_cache_is_the_drivers_until_it_resets()
    {
        using BlockGuest guest = new();
        uint place = GuestDriver.Offset("Config") + 0x20;
        Assert.Equal(1, guest.Driver.Page.Load<byte>(place));
        _ = guest.Driver.WriteAt(place, 1, 0);
        Assert.Equal(0, guest.Driver.Page.Load<byte>(place));
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Out, 0, 512));
        guest.Driver.Start(16);
        Assert.Equal(1, guest.Driver.Page.Load<byte>(place));
    }

    [Fact]
    public void Queues_are_served_side_by_side()
    {
        using BlockGuest guest = new(options: new DiskOptions("") { Queues = 4 });
        Assert.NotEqual(0ul, guest.Driver.Features & (ulong)VirtioBlockFeatures.MultiQueue);
        Assert.Equal(4, guest.Driver.Page.Load<ushort>(GuestDriver.Offset("Config") + 0x22));
        byte[] image = guest.Image();
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 4; i++)
            {
                GuestQueue queue = guest.Driver.Queues[i];
                ulong h = BlockGuest.HeaderAt + (ulong)i * 64, d = BlockGuest.DataAt + (ulong)i * 4096;
                queue.Ram.Store(h, new VirtioBlockHeader { Type = (uint)VirtioBlockType.In, Sector = (ulong)(round * 4 + i) });
                queue.DescribeChain(0, null, new(h, 16, false), new(d, 512, true), new(BlockGuest.StatusAt + (ulong)i, 1, true));
                queue.Submit(0);
                queue.Kick();
            }
            for (int i = 0; i < 4; i++)
            {
                Assert.Equal(513u, guest.Driver.Queues[i].Wait()!.Value.Len);
                Assert.Equal(image.AsSpan((round * 4 + i) * 512, 512), guest.Queue.Bytes(BlockGuest.DataAt + (ulong)i * 4096, 512));
            }
        }
    }

    [Fact]
    public void Resized_image_is_seen_and_can_be_used()
    {
        using BlockGuest guest = new();
        uint place = GuestDriver.Offset("Config");
        uint generation = guest.Driver.Read("ConfigGeneration");
        guest.Driver.Line.Event.Drain();
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.Out, 2048, 512));
        guest.Driver.Line.Event.Drain();
        guest.Device.Resize(2 << 20);
        Assert.Equal(4096ul, guest.Driver.Page.Load<ulong>(place));
        Assert.NotEqual(generation, guest.Driver.Read("ConfigGeneration"));
        Assert.Equal(1ul, guest.Driver.Line.Event.Drain());
        Assert.NotEqual(0u, guest.Driver.InterruptStatus & VirtioMmio.Bits.InterruptStatusConfigChange);
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Out, 4095, 512));
        Assert.Equal(2 << 20, guest.Image().Length);
        using (HostFile file = HostFile.TryOpen(guest.Path, Libc.O_RDWR, out _)!) Assert.Equal(0, file.Truncate(3 << 20));
        guest.Device.Resize(null);
        Assert.Equal(6144ul, guest.Driver.Page.Load<ulong>(place));
        Assert.Equal(FailureKind.Usage, Assert.Throws<MicroVmException>(() => guest.Device.Resize(1 << 20)).Kind);
        Assert.Equal(6144ul, guest.Driver.Page.Load<ulong>(place));
    }

    [Fact]
    public void Limits_hold_and_lose_no_request()
    {
        using BlockGuest guest = new(options: new DiskOptions("") { Limits = new RateLimits(0, 100, 100) });
        long start = Stopwatch.GetTimestamp();
        int requests = 60;
        for (int i = 0; i < requests; i++) Assert.Equal(Ok, guest.Request(VirtioBlockType.In, (ulong)i, 512));
        // 10 are saved up; the others come at their rate, or later on a busy host, but never before.
        Assert.True(Stopwatch.GetElapsedTime(start) >= TimeSpan.FromMilliseconds((requests - 11) * 10));
        // A batch that has to wait is answered whole, and a reset does not wait for it.
        GuestQueue queue = guest.Queue;
        for (ushort i = 0; i < 30; i++)
        {
            queue.DescribeChain(i * 3, null, guest.Header(VirtioBlockType.In, 0), new(BlockGuest.DataAt, 512, true), guest.Status());
            queue.Offer((ushort)(i * 3));
        }
        queue.Publish();
        queue.Kick();
        for (int i = 0; i < 30; i++) Assert.NotNull(queue.Wait());
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Flush, 0, 0));
    }

    [Theory]
    [InlineData(DiskEngine.Auto)]
    [InlineData(DiskEngine.Threads)]
    public void Nothing_is_allocated_per_request(DiskEngine engine)
    {
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, new byte[1 << 20]);
        WitnessedDisk disk = new(path, engine);
        using GuestDriver guest = new(disk);
        GuestQueue queue = guest.Start(64).Queues[0];
        queue.Ram.Store(BlockGuest.HeaderAt, new VirtioBlockHeader { Type = (uint)VirtioBlockType.In, Sector = 1 });
        queue.Ram.Store(BlockGuest.HeaderAt + 16, new VirtioBlockHeader { Type = (uint)VirtioBlockType.Out, Sector = 9 });
        for (int i = 0; i < 16; i++)
        {
            bool write = i % 2 == 1;
            queue.DescribeChain(i * 4, null, new(BlockGuest.HeaderAt + (write ? 16u : 0), 16, false), new(BlockGuest.DataAt, 2048, !write), new(BlockGuest.DataAt + 4096, 2048, !write), new(BlockGuest.StatusAt, 1, true));
        }
        Pump(20);
        long before = Volatile.Read(ref disk.Allocated);
        Pump(2_000);
        Assert.Equal(before, Volatile.Read(ref disk.Allocated));
        Assert.Equal(0, queue.Bytes(BlockGuest.StatusAt, 1)[0]);
        File.Delete(path);

        void Pump(int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                for (ushort i = 0; i < 16; i++) queue.Offer((ushort)(i * 4));
                queue.Publish();
                queue.Kick();
                for (int i = 0; i < 16; i++) Assert.NotNull(queue.Wait());
            }
        }
    }

    /// <summary>A disk whose thread says, with each interrupt, how much it has allocated so far.</summary>
    private sealed class WitnessedDisk(string path, DiskEngine engine) : VirtioDevice("witness", VirtioBlock.DeviceId, 0, VirtioBlock.QueueSizes, null), IVirtioTransport
    {
        internal long Allocated;

        private readonly EventLoop _loop = new("witness", ThreadOwner.Process);
        private readonly FileBackend _file = FileBackend.Open(path, readOnly: false);
        private BlockQueue? _queue;

        public override void Activate(in ActivationContext context)
        {
            BlockDisk disk = new(_file, new VirtioBlockConfig(_file, 1), null, engine, new BlockErrors(path, null));
            _queue = new BlockQueue(_loop, new Virtqueue(context.Queues[0]!, context.Memory), disk, context.Features | (ulong)VirtioBlockFeatures.Flush, this);
            _queue.Start();
        }

        public override void Reset()
        {
            _queue?.Stop();
            _queue = null;
        }

        public override void Dispose()
        {
            base.Dispose();
            _loop.Dispose();
            _file.Dispose();
        }

        void IVirtioTransport.ConfigRefreshed() { }

        void IVirtioTransport.GuestError(string what, string place, ulong number) { }

        void IVirtioTransport.HostRefused(string what) { }

        void IVirtioTransport.Signal(int queue)
        {
            Volatile.Write(ref Allocated, GC.GetAllocatedBytesForCurrentThread());
            Transport.Signal(queue);
        }

        void IVirtioTransport.SignalBoth(int queue, int other) => Transport.SignalBoth(queue, other);

        EventFd IVirtioTransport.CallEvent(int queue) => Transport.CallEvent(queue);

        void IVirtioTransport.ConfigChanged() => Transport.ConfigChanged();

        void IVirtioTransport.QueueBroken(int queue, QueueFault fault) => Transport.QueueBroken(queue, fault);
    }

    private static VirtioBlockStatus? Range(BlockGuest guest, VirtioBlockType type, ulong sector, uint count, VirtioBlockRangeFlags flags = 0)
    {
        Store(guest, sector, count, flags);
        return guest.Request(type, 0, (uint)Unsafe.SizeOf<VirtioBlockRange>(), writable: false);
    }

    private static void Store(BlockGuest guest, ulong sector, uint count, VirtioBlockRangeFlags flags) =>
        guest.Queue.Ram.Store(BlockGuest.DataAt, new VirtioBlockRange { Sector = sector, Count = count, Flags = (uint)flags });

    private static long Blocks(string path)
    {
        using Process process = Process.Start(new ProcessStartInfo("stat", ["-c", "%b", path]) { RedirectStandardOutput = true })!;
        return long.Parse(process.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture);
    }
}
