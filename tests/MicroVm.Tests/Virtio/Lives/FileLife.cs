using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Block;
using Xunit;

namespace MicroVm.Tests.Virtio.Lives;

/// <summary>A disk on a file, which nobody can hold up: reads, writes and flushes of a sector to a mebibyte, one of
/// which is under way when the reset comes.</summary>
internal sealed class FileLife : DeviceLife
{
    private const int Bytes = 4 << 20;
    private const byte Old = 0x22;
    private const ulong Writes = 0x100_0000, Reads = 0x180_0000;

    private static readonly VirtioBlockType[] s_types =
        [VirtioBlockType.In, VirtioBlockType.Out, VirtioBlockType.Flush];

    private readonly string _path = Path.GetTempFileName();
    private readonly Random _random;

    internal FileLife(Random random, DiskEngine engine)
    {
        _random = random;
        File.WriteAllBytes(_path, new byte[Bytes]);
        DiskOptions options = new(_path) { Engine = engine };
        Driver = new GuestDriver(new VirtioBlockDevice(FileBackend.Open(_path, readOnly: false), options));
    }

    internal override GuestDriver Driver { get; }

    protected override void Begin(Step step)
    {
        GuestQueue queue = Driver.Queues[0];
        queue.Bytes(Writes, 1 << 20).Fill(Old);
        for (ushort head = 0; head < queue.Size; head++)
        {
            VirtioBlockType type = s_types[_random.Next(s_types.Length)];
            uint bytes = type == VirtioBlockType.Flush ? 0 : 512u << _random.Next(12);
            ulong sector = (ulong)_random.Next((Bytes - (int)bytes) / 512 + 1);
            ulong data = type == VirtioBlockType.In ? Reads : Writes;
            DiskLife.Offer(queue, head, type, sector, data, bytes, _random.Next(2) == 0 ? 1 : 200);
        }
        queue.Publish();
        if (step >= Step.Kicked) queue.Kick();
    }

    internal override void Late()
    {
    }

    internal override void Serve()
    {
        GuestQueue queue = Driver.Queues[0];
        for (ushort head = 0; head < queue.Size; head++)
        {
            DiskLife.Offer(queue, head, VirtioBlockType.In, 0, Reads, 512, 1, further: Buffers - Writes);
        }
        queue.Publish();
        queue.Kick();
        Assert.True(GuestDriver.Eventually(() => queue.UsedIndex == queue.Size));
        while (queue.TryTakeUsed(out VirtqUsedElem used)) Assert.Equal(513u, used.Len);
        // Nor was anything written to the image out of memory that means something else now.
        byte[] image = new byte[Bytes];
        using HostFile file = HostFile.TryOpen(_path, Libc.O_RDONLY, out _)!;
        Assert.Equal(Bytes, file.Read(image, 0));
        Assert.Equal(-1, image.AsSpan().IndexOfAnyExcept((byte)0, Old));
    }

    public override void Dispose()
    {
        base.Dispose();
        File.Delete(_path);
    }
}
