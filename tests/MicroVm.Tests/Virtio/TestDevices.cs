using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Virtio;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Rng;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Devices for tests of the engine.</summary>
internal sealed class EchoDevice(EventLoop loop, ushort size = 32768, Func<bool>? hold = null) : VirtioDevice("echo", 42, 0, [size], null), IDisposable
{
    private Service? _active;

    internal long Served;

    internal long Allocated;

    public override void Activate(in ActivationContext context)
    {
        if (context.Queues[0] is not { } setup) return;
        _active = new Service(this, hold);
        _active.Queue = new QueueService(loop, new Virtqueue(setup, context.Memory), _active, Transport);
        _active.Queue.Start();
    }

    public override void Reset()
    {
        _active?.Queue!.Stop();
        _active = null;
    }

    /// <summary>Copies what it reads into what it writes.</summary>
    private sealed class Service(EchoDevice device, Func<bool>? hold) : IChainHandler
    {
        private readonly byte[] _buffer = new byte[64];
        private long _start = -1;

        internal QueueService? Queue;

        public bool Serve(ref Chain chain, out uint written)
        {
            if (_start < 0) _start = GC.GetAllocatedBytesForCurrentThread();
            SpinWait spin = default;
            while (hold is not null && hold()) spin.SpinOnce();
            uint count = Math.Min(chain.Readable.Length, (uint)_buffer.Length);
            chain.Readable.TryTake(_buffer.AsSpan(0, (int)count));
            written = chain.Writable.Fill(_buffer.AsSpan(0, (int)count));
            device.Served++;
            Volatile.Write(ref device.Allocated, GC.GetAllocatedBytesForCurrentThread() - _start);
            return true;
        }
    }
}

/// <summary>A block device over a temporary file, and a driver for it.</summary>
internal sealed class BlockGuest : IDisposable
{
    internal const ulong HeaderAt = 0x80_0000, DataAt = 0x81_0000, StatusAt = 0x80_8000;

    internal BlockGuest(long bytes = 1 << 20, bool readOnly = false, uint queueSize = 256, ulong features = GuestDriver.AllFeatures, string? path = null, DiskOptions? options = null, OutputPump? log = null)
    {
        Path = path ?? System.IO.Path.GetTempFileName();
        if (path is null)
        {
            byte[] content = new byte[bytes];
            new Random(7).NextBytes(content);
            File.WriteAllBytes(Path, content);
        }
        Driver = new GuestDriver(Device = new VirtioBlockDevice(FileBackend.Open(Path, readOnly, "serial-0123"), options, log));
        Driver.Start(queueSize, features);
    }

    /// <summary>A disk of the test's own making, without a file to remove.</summary>
    internal BlockGuest(VirtioBlockDevice device)
    {
        Path = "";
        Driver = new GuestDriver(Device = device).Start(256);
    }

    internal string Path { get; }
    internal VirtioBlockDevice Device { get; }
    internal GuestDriver Driver { get; }
    internal GuestQueue Queue => Driver.Queues[0];

    /// <summary>One request with a single data buffer; null if the device broke, else its status byte.</summary>
    internal VirtioBlockStatus? Request(VirtioBlockType type, ulong sector, uint length, bool? writable = null)
    {
        bool write = writable ?? type is VirtioBlockType.In or VirtioBlockType.GetId;
        List<Buffer> chain = [Header(type, sector)];
        if (length != 0) chain.Add(new(DataAt, length, write));
        chain.Add(Status());
        Queue.DescribeChain(0, null, CollectionsMarshal.AsSpan(chain));
        return Complete(Queue.Transact(0));
    }

    internal VirtioBlockStatus? Complete(VirtqUsedElem? used) => used is null ? null : (VirtioBlockStatus)Queue.Bytes(StatusAt, 1)[0];

    internal Buffer Header(VirtioBlockType type, ulong sector)
    {
        Queue.Ram.Store(HeaderAt, new VirtioBlockHeader { Type = (uint)type, Sector = sector });
        return new(HeaderAt, 16, false);
    }

    internal Buffer Status()
    {
        Queue.Bytes(StatusAt, 1)[0] = 0xee;
        return new(StatusAt, 1, true);
    }

    /// <summary>The image as it is now; .NET's own lock would meet the device's.</summary>
    internal byte[] Image()
    {
        using HostFile file = HostFile.TryOpen(Path, Libc.O_RDONLY, out _)!;
        Assert.True(file.TryStatus(out HostFileStatus status, out _));
        byte[] bytes = new byte[status.Size];
        Assert.Equal(bytes.Length, file.Read(bytes, 0));
        return bytes;
    }

    internal Span<byte> Data(int length) => Queue.Bytes(DataAt, length);

    public void Dispose()
    {
        Driver.Dispose();
        if (Path.Length != 0) File.Delete(Path);
    }
}

internal static class RngGuest
{
    internal static (GuestDriver Driver, EventLoop Loop) Make(uint size = 64)
    {
        EventLoop loop = new("test", ThreadOwner.Process);
        GuestDriver driver = new(new VirtioRngDevice(loop));
        return (driver.Start(size), loop);
    }
}
