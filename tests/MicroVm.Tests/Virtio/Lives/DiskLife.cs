using MicroVm.Devices;
using MicroVm.Virtio.Block;
using Xunit;

namespace MicroVm.Tests.Virtio.Lives;

/// <summary>A disk: 256 reads of a sector to a mebibyte, in one piece to 254, which the host's kernel has and ends when
/// it is fed.</summary>
internal sealed class DiskLife(Random random) : DeviceLife
{
    private const ulong Tables = 0x60_0000, Header = 0x80_0000, Status = 0x80_8000, Data = 0x100_0000;
    private const uint Sector = 512;

    private readonly PipeGuest _disk = new();

    internal override GuestDriver Driver => _disk.Driver;

    protected override void Begin(Step step)
    {
        GuestQueue queue = Driver.Queues[0];
        for (ushort head = 0; head < queue.Size; head++)
        {
            // All are done only if they are small: the host's end holds 64 KiB.
            uint bytes = step == Step.Answered ? Sector : ((uint[])[Sector, 4096, 1 << 16, 1 << 20])[random.Next(4)];
            Read(queue, head, bytes, ((int[])[1, 3, 254])[random.Next(3)], 0);
        }
        queue.Publish();
        if (step >= Step.Kicked) queue.Kick();
        if (step >= Step.Taken) Assert.True(_disk.AllBegun());
        if (step == Step.PartlyDone) _disk.Feed(100, then: 100);
        if (step == Step.Answered) Assert.True(GuestDriver.Eventually(Fed(queue, queue.Size)));
        if (step == Step.Broken) Break(queue);
    }

    internal override void Late() => _disk.Feed(128);

    internal override void Serve()
    {
        GuestQueue queue = Driver.Queues[0];
        for (ushort head = 0; head < queue.Size; head++) Read(queue, head, Sector, 1, Buffers - Tables);
        queue.Publish();
        queue.Kick();
        Assert.True(GuestDriver.Eventually(Fed(queue, queue.Size)));
        bool[] seen = new bool[queue.Size];
        while (queue.TryTakeUsed(out VirtqUsedElem used))
        {
            Assert.Equal((false, Sector + 1), (seen[used.Id], used.Len));
            seen[used.Id] = true;
        }
        Assert.DoesNotContain(false, seen);
        Assert.Equal(queue.Size, queue.UsedIndex);
        Assert.Equal(-1, queue.Bytes(DataOf(0) + Buffers - Tables, (int)Sector).IndexOfAnyExcept((byte)0xa5));
    }

    public override void Dispose() => _disk.Dispose();

    // More than the host's end holds goes in as it is read.
    private Func<bool> Fed(GuestQueue queue, ushort answers) => () =>
    {
        if (queue.UsedIndex == answers) return true;
        _disk.Feed(1);
        return false;
    };

    private static ulong DataOf(ushort head) => Data + head % 15u * 0x1_0000u;

    private static void Read(GuestQueue queue, ushort head, uint bytes, int pieces, ulong further) =>
        Offer(queue, head, VirtioBlockType.In, 0, DataOf(head), bytes, pieces, further);

    /// <summary>Offers a request whose data is in so many pieces, behind an indirect descriptor, so that all heads can
    /// be under way.</summary>
    internal static void Offer(
        GuestQueue queue, ushort head, VirtioBlockType type, ulong sector, ulong data, uint bytes, int pieces,
        ulong further = 0)
    {
        ulong table = Tables + head * 0x1000u + further, header = Header + head * 16u + further;
        queue.Ram.Store(header, new VirtioBlockHeader { Type = (uint)type, Sector = sector });
        List<Buffer> chain = [new(header, 16, false)];
        uint piece = bytes / (uint)pieces;
        for (uint at = 0, i = 1; bytes != 0 && i <= pieces; i++, at += piece)
        {
            chain.Add(new Buffer(data + further + at, i < pieces ? piece : bytes - at, type == VirtioBlockType.In));
        }
        chain.Add(new Buffer(Status + further + head, 1, true));
        queue.DescribeChain(0, table, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(chain));
        queue.Describe(head, table, 16 * (uint)chain.Count, VirtqDescFlags.Indirect);
        queue.Offer(head);
    }
}
