using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Tests.Host;
using MicroVm.Virtio.Block;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>What a disk offers of giving space back follows what is behind it.</summary>
public sealed class BlockFreeingTests : IDisposable
{
    private const uint Alignment = 0x2c, MayUnmap = 0x38;
    private const VirtioBlockStatus Ok = VirtioBlockStatus.Ok;

    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-freeing-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("2147483136", "4096", "2147483136", 4096)]
    [InlineData("2147483136", "65536", "1024", 65536)]
    // A disk that discards and knows no zeroes refuses a hole, one that does not discard would only write zeroes.
    [InlineData("1073741824", "4096", "0", 0)]
    [InlineData("0", "0", "2147483136", 0)]
    [InlineData("0", "4096", "0", 0)]
    [InlineData("1073741824", "4096", null, 0)]
    [InlineData("1073741824", "much", "1073741824", 0)]
    [InlineData(null, null, null, 0)]
    public void A_block_device_gives_back_what_its_queue_says(
        string? discard, string? granularity, string? zeroes, uint expected)
    {
        string disk = Directory.CreateDirectory(_folder + "/devices/sda").FullName, queue = disk + "/queue";
        Directory.CreateDirectory(queue);
        Put("discard_max_bytes", discard);
        Put("discard_granularity", granularity);
        Put("write_zeroes_max_bytes", zeroes);
        Directory.CreateDirectory(disk + "/sda17");
        Directory.CreateDirectory(_folder + "/dev/block");
        Directory.CreateSymbolicLink(_folder + "/dev/block/8:0", "../../devices/sda");
        Directory.CreateSymbolicLink(_folder + "/dev/block/259:65537", "../../devices/sda/sda17");
        Assert.Equal(expected, HostBlockQueue.DiscardGranularity(8 << 8, _folder));
        // A partition has the queue of its disk; its number needs all bits.
        Assert.Equal(expected, HostBlockQueue.DiscardGranularity(259 << 8 | 0x1_0000 << 12 | 1, _folder));
        Assert.Equal(0u, HostBlockQueue.DiscardGranularity(9 << 8, _folder));

        void Put(string name, string? value)
        {
            if (value is not null) File.WriteAllText($"{queue}/{name}", value + "\n");
        }
    }

    [Fact]
    public void A_file_whose_file_system_punches_holes_offers_discard()
    {
        using BlockGuest guest = new();
        Assert.NotEqual(0ul, guest.Driver.OfferedFeatures() & (ulong)VirtioBlockFeatures.Discard);
        Assert.Equal((8u, 1), (Config<uint>(guest, Alignment), Config<byte>(guest, MayUnmap)));
        File.Delete(guest.Path);
    }

    [MountFact("ramfs")]
    public void A_file_whose_file_system_has_no_holes_offers_none_and_zeroes_are_written()
    {
        using Mounted ram = new("ramfs", _folder);
        CannotFree(Image("ram.img", ram.Path));
    }

    [LoopFact]
    public void A_block_device_that_frees_is_aligned_to_what_it_frees_and_does_it()
    {
        string image = Image("loop.img", _folder);
        using Loop loop = new(image);
        using BlockGuest guest = Guest(loop.Device);
        Assert.NotEqual(0ul, guest.Driver.OfferedFeatures() & (ulong)VirtioBlockFeatures.Discard);
        Assert.Equal(loop.Queue("discard_granularity") / 512, Config<uint>(guest, Alignment));
        Assert.Equal(1, Config<byte>(guest, MayUnmap));
        Assert.Equal(Ok, Range(guest, VirtioBlockType.Discard, 64, 512));
        Assert.Equal(Ok, Range(guest, VirtioBlockType.WriteZeroes, 1024, 64));
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Flush, 0, 0));
        byte[] after = File.ReadAllBytes(image);
        Assert.True(after.AsSpan(64 * 512, 512 * 512).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(after.AsSpan(1024 * 512, 64 * 512).IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal(7, after[63 * 512]);
        Assert.Equal(0, guest.Device.HostErrors);
    }

    [LoopFact]
    public void A_block_device_that_does_not_free_offers_none_and_zeroes_are_written()
    {
        using Mounted ram = new("ramfs", _folder);
        using Loop loop = new(Image("ram.img", ram.Path));
        Assert.Equal(0u, loop.Queue("discard_max_bytes"));
        CannotFree(loop.Device);
    }

    // Without a file to remove: it is the host's.
    private static BlockGuest Guest(string path) => new(new VirtioBlockDevice(FileBackend.Open(path, readOnly: false)));

    private static void CannotFree(string path)
    {
        using BlockGuest guest = Guest(path);
        ulong offered = guest.Driver.OfferedFeatures();
        Assert.Equal(0ul, offered & (ulong)VirtioBlockFeatures.Discard);
        Assert.NotEqual(0ul, offered & (ulong)VirtioBlockFeatures.WriteZeroes);
        Assert.Equal(0, Config<byte>(guest, MayUnmap));
        Assert.Equal(Ok, Range(guest, VirtioBlockType.WriteZeroes, 64, 512));
        Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 100, 512));
        Assert.True(guest.Queue.Bytes(BlockGuest.DataAt, 512).IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal(VirtioBlockStatus.Unsupported, Range(guest, VirtioBlockType.Discard, 64, 512));
        Assert.Equal(0, guest.Device.HostErrors);
    }

    private static string Image(string name, string folder)
    {
        string path = $"{folder}/{name}";
        byte[] content = new byte[1 << 20];
        Array.Fill(content, (byte)7);
        File.WriteAllBytes(path, content);
        return path;
    }

    private static T Config<T>(BlockGuest guest, uint offset) where T : unmanaged =>
        guest.Driver.Page.Load<T>(GuestDriver.Offset("Config") + offset);

    private static VirtioBlockStatus? Range(BlockGuest guest, VirtioBlockType type, ulong sector, uint count)
    {
        guest.Queue.Ram.Store(BlockGuest.DataAt, new VirtioBlockRange { Sector = sector, Count = count });
        return guest.Request(type, 0, 16, writable: false);
    }
}
