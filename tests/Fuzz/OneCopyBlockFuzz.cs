using MicroVm.Devices;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Block;

namespace MicroVm.Fuzz;

/// <summary>What <see cref="OneCopyFuzz"/> is to sockets and frames, for disks: the file and the guest's memory are as
/// one of the requests leaves them that stood there, all of it.</summary>
public sealed class OneCopyBlockFuzz
{
    private const int ImageBytes = 1 << 16, Requests = 100, SectorBytes = 512;
    private const ulong X = BlockGuest.DataAt, Y = X + 0x2000;

    // The last lies far behind the end. Whole values are stored, but a copy could catch two halves of them: bytes of
    // one and of another make a third only behind the end.
    private static readonly ulong[] s_sectors = [8, 72, 0x8008];
    private static readonly int[] s_lengths = [512, 4096];
    private static readonly ulong[] s_buffers = [X, Y];

    [Fact]
    public void Q11_block_request_is_of_one_sector_one_length_and_one_buffer()
    {
        Reach reach = new(
            "sector 8", "sector 72", "512 bytes", "4096 bytes", "buffer X", "buffer Y", "In", "Out", "refused");
        FuzzRun.Run("one copy: virtio-block", random => Live(random, reach), reach: reach);
    }

    private static void Live(Random random, Reach reach)
    {
        DiskOptions options = new("") { Engine = random.Next(3) == 0 ? DiskEngine.Threads : DiskEngine.Auto };
        using BlockGuest guest = new(ImageBytes, queueSize: 16, options: options);
        GuestQueue queue = guest.Queue;
        ulong data = queue.Descriptors + 16;
        byte[] image = guest.Image();
        queue.DescribeChain(0, null, guest.Header(VirtioBlockType.In, 8), new(X, 512, true), guest.Status());
        using SecondThread second = new(random.Next(), r =>
        {
            queue.Ram.Store(BlockGuest.HeaderAt + 8, s_sectors[r.Next(8) == 0 ? 2 : r.Next(2)]);
            queue.Ram.Store(data + 8, s_lengths[r.Next(2)]);
            queue.Ram.Store(data, s_buffers[r.Next(2)]);
        });
        for (int i = 0; i < Requests; i++)
        {
            VirtioBlockType type = random.Next(2) == 0 ? VirtioBlockType.Out : VirtioBlockType.In;
            queue.Ram.Store(BlockGuest.HeaderAt, (uint)type);
            VirtqDescFlags flags = VirtqDescFlags.Next | (type == VirtioBlockType.In ? VirtqDescFlags.Write : 0);
            queue.Ram.Store(data + 12, (ushort)flags);
            Span<byte> buffers = queue.Bytes(X, 0x3000);
            random.NextBytes(buffers);
            byte[] memory = buffers.ToArray();
            _ = guest.Status();
            VirtqUsedElem? used = queue.Transact(0);
            VirtioBlockStatus status = guest.Complete(used)!.Value;
            Pair before = new(image, memory), after = new(guest.Image(), buffers.ToArray());
            bool isOne = IsOne(type, status, used!.Value.Len, before, after, reach);
            Assert.True(isOne, $"request {i} is none of those that stood there");
            image = after.Image;
        }
    }

    private static bool IsOne(
        VirtioBlockType type, VirtioBlockStatus status, uint written, Pair before, Pair after, Reach reach)
    {
        if (status == VirtioBlockStatus.IoErr)
        {
            reach.Add("refused");
            return written == 1 && before.Equals(after.Image, after.Memory);
        }
        foreach ((ulong sector, int length, ulong buffer) in Combinations())
        {
            (int inImage, int inMemory) = ((int)sector * SectorBytes, (int)(buffer - X));
            byte[] image = [.. before.Image], memory = [.. before.Memory];
            if (type == VirtioBlockType.Out) before.Memory.AsSpan(inMemory, length).CopyTo(image.AsSpan(inImage));
            else before.Image.AsSpan(inImage, length).CopyTo(memory.AsSpan(inMemory));
            if (!after.Equals(image, memory) || written != (type == VirtioBlockType.In ? length + 1 : 1)) continue;
            string[] found = [$"sector {sector}", $"{length} bytes", buffer == X ? "buffer X" : "buffer Y", $"{type}"];
            foreach (string name in found) reach.Add(name);
            return status == VirtioBlockStatus.Ok;
        }
        return false;
    }

    private static IEnumerable<(ulong Sector, int Length, ulong Buffer)> Combinations()
    {
        foreach (ulong sector in s_sectors[..2])
        {
            foreach (int length in s_lengths)
            {
                foreach (ulong buffer in s_buffers) yield return (sector, length, buffer);
            }
        }
    }

    private sealed record Pair(byte[] Image, byte[] Memory)
    {
        internal bool Equals(byte[] image, byte[] memory) =>
            Image.AsSpan().SequenceEqual(image) && Memory.AsSpan().SequenceEqual(memory);
    }
}
