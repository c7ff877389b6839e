using System.Diagnostics;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Tests.Host;
using MicroVm.Virtio.Block;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Through io_uring, where the host has it.</summary>
public sealed class BlockRingTests() : BlockTests(DiskEngine.Auto);

/// <summary>Through reads and writes of a thread.</summary>
public sealed class BlockThreadTests() : BlockTests(DiskEngine.Threads);

public abstract class BlockTests(DiskEngine engine)
{
    private const VirtioBlockStatus Ok = VirtioBlockStatus.Ok, IoErr = VirtioBlockStatus.IoErr;

    [Fact]
    public void Read_write_flush_and_identity()
    {
        using BlockGuest guest = Guest(features: ~(ulong)VirtioFeatures.RingEventIdx);
        Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 3, 4096));
        Assert.Equal(guest.Image().AsSpan(3 * 512, 4096), guest.Data(4096));
        new Random(9).NextBytes(guest.Data(8192));
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Out, 5, 8192));
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Flush, 0, 0));
        Assert.Equal(guest.Image().AsSpan(5 * 512, 8192), guest.Data(8192));
        Assert.Equal(Ok, guest.Request(VirtioBlockType.GetId, 0, 20));
        Assert.Equal("serial-0123\0\0\0\0\0\0\0\0\0"u8, guest.Data(20));
        Assert.True(GuestDriver.Eventually(() => guest.Driver.Line.Event.Drain() >= 1));
    }

    [Fact]
    public void Scattered_buffers_and_a_header_in_pieces()
    {
        using BlockGuest guest = Guest();
        _ = guest.Header(VirtioBlockType.In, 1);
        ulong h = BlockGuest.HeaderAt, d = BlockGuest.DataAt;
        guest.Queue.DescribeChain(0, null, new(h, 5, false), new(h + 5, 11, false), new(d, 100, true), new(d + 1000, 900, true), new(d + 3000, 24, true), guest.Status());
        Assert.Equal(1025u, guest.Queue.Transact(0)!.Value.Len);
        byte[] image = guest.Image();
        Assert.Equal(image.AsSpan(512, 100), guest.Data(100));
        Assert.Equal(image.AsSpan(612, 900), guest.Data(4096).Slice(1000, 900));
        Assert.Equal(image.AsSpan(1512, 24), guest.Data(4096).Slice(3000, 24));
    }

    [Fact]
    public void Status_byte_may_end_the_data_buffer()
    {
        using BlockGuest guest = Guest();
        guest.Queue.DescribeChain(0, null, guest.Header(VirtioBlockType.In, 0), new(BlockGuest.DataAt, 513, true));
        Assert.Equal(513u, guest.Queue.Transact(0)!.Value.Len);
        Assert.Equal(0, guest.Data(513)[512]);
    }

    [Theory]
    [InlineData(VirtioBlockType.In, ulong.MaxValue, 512u)]
    [InlineData(VirtioBlockType.In, ulong.MaxValue / 512, 512u)]
    [InlineData(VirtioBlockType.In, 1ul << 55, 512u)]
    [InlineData(VirtioBlockType.In, 2048ul, 512u)]
    [InlineData(VirtioBlockType.In, 2047ul, 1024u)]
    [InlineData(VirtioBlockType.In, 0ul, 511u)]
    [InlineData(VirtioBlockType.In, 0ul, 513u)]
    [InlineData(VirtioBlockType.In, 0ul, 0u)]
    [InlineData(VirtioBlockType.Out, 2047ul, 1024u)]
    [InlineData(VirtioBlockType.Out, ulong.MaxValue, 512u)]
    [InlineData(VirtioBlockType.Out, 0ul, 0u)]
    [InlineData(VirtioBlockType.Out, 0ul, 100u)]
    [InlineData(VirtioBlockType.GetId, 0ul, 19u)]
    [InlineData(VirtioBlockType.GetId, 0ul, 0u)]
    public void B1_request_that_does_not_fit_fails_alone(VirtioBlockType type, ulong sector, uint length)
    {
        using BlockGuest guest = Guest();
        byte[] before = guest.Image();
        Assert.Equal(IoErr, guest.Request(type, sector, length));
        Assert.Equal(before, guest.Image());
        Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 2047, 512));
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void B1_bounds_are_those_of_the_whole_chain()
    {
        using BlockGuest guest = Guest();
        byte[] before = guest.Image();
        guest.Queue.DescribeChain(0, null, guest.Header(VirtioBlockType.Out, 2046),
            new(BlockGuest.DataAt, 512, false), new(BlockGuest.DataAt, 512, false), new(BlockGuest.DataAt, 512, false), guest.Status());
        Assert.Equal(IoErr, guest.Complete(guest.Queue.Transact(0)));
        Assert.Equal(before, guest.Image());
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    [InlineData(12u)]
    [InlineData(14u)]
    [InlineData(uint.MaxValue)]
    public void B1_unknown_type_is_unsupported(uint type)
    {
        using BlockGuest guest = Guest();
        Assert.Equal(VirtioBlockStatus.Unsupported, guest.Request((VirtioBlockType)type, 0, 512));
    }

    [Fact]
    public void B1_too_many_segments_fail()
    {
        using BlockGuest guest = Guest();
        Buffer[] chain = new Buffer[257];
        chain[0] = guest.Header(VirtioBlockType.In, 0);
        Array.Fill(chain, new Buffer(BlockGuest.DataAt, 2, true), 1, 256);
        ulong table = guest.Queue.Data;
        guest.Queue.DescribeChain(0, table, chain.AsSpan(0, 255));
        guest.Queue.Describe(254, BlockGuest.StatusAt, 1, VirtqDescFlags.Write, table: table);
        guest.Queue.Describe(0, table, 16 * 255, VirtqDescFlags.Indirect);
        _ = guest.Status();
        Assert.Equal(IoErr, guest.Complete(guest.Queue.Transact(0)));
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void Q8_missing_status_byte_asks_for_a_reset()
    {
        using BlockGuest guest = Guest();
        guest.Queue.DescribeChain(0, null, guest.Header(VirtioBlockType.Out, 0), new Buffer(BlockGuest.DataAt, 512, false));
        Assert.Null(guest.Queue.Transact(0));
        Assert.True(guest.Driver.NeedsReset);
    }

    [Fact]
    public void Q8_header_cut_short_fails()
    {
        using BlockGuest guest = Guest();
        guest.Queue.DescribeChain(0, null, guest.Header(VirtioBlockType.In, 0) with { Length = 15 }, new(BlockGuest.DataAt, 512, true), guest.Status());
        Assert.Equal(IoErr, guest.Complete(guest.Queue.Transact(0)));
        guest.Queue.DescribeChain(0, null, guest.Status());
        Assert.Equal(IoErr, guest.Complete(guest.Queue.Transact(0)));
    }

    [Fact]
    public void B3_read_only_disk_takes_no_write_whatever_was_agreed_on()
    {
        using BlockGuest guest = Guest(readOnly: true, features: (ulong)VirtioFeatures.Version1);
        Assert.NotEqual(0ul, guest.Driver.OfferedFeatures() & (ulong)VirtioBlockFeatures.ReadOnly);
        byte[] before = guest.Image();
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.Out, 0, 512));
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.Flush, 0, 0));
        Assert.Equal(VirtioBlockStatus.Unsupported, guest.Request((VirtioBlockType)11, 0, 16, writable: false));
        Assert.Equal(before, guest.Image());
        Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 0, 512));
    }

    [Fact]
    public void B4_image_that_is_cut_short_fails_and_never_grows()
    {
        using BlockGuest guest = Guest();
        using (HostFile file = HostFile.TryOpen(guest.Path, Libc.O_RDWR, out _)!) Assert.Equal(0, file.Truncate(4096));
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.In, 100, 4096));
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.In, 4, 4096));
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.Out, 100, 4096));
        Assert.Equal(IoErr, guest.Request(VirtioBlockType.Out, 7, 1024));
        Assert.Equal(4096, guest.Image().Length);
        Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 0, 4096));
        File.Delete(guest.Path);
        Assert.Equal(Ok, guest.Request(VirtioBlockType.Out, 0, 4096));
    }

    [MountFact("tmpfs")]
    public void B5_full_disk_fails_the_write_and_keeps_what_was_written()
    {
        string folder = Directory.CreateTempSubdirectory("microvm-full").FullName;
        using (Mounted small = new("tmpfs", folder, "size=64k"))
        {
            string image = Path.Combine(small.Path, "disk");
            using (FileStream f = File.Create(image)) f.SetLength(1 << 20);
            using BlockGuest guest = Guest(path: image);
            guest.Data(4096).Fill(0x5a);
            Assert.Equal(Ok, guest.Request(VirtioBlockType.Out, 0, 4096));
            VirtioBlockStatus? last = Ok;
            for (ulong i = 1; i < 32 && last == Ok; i++) last = guest.Request(VirtioBlockType.Out, i * 8, 4096);
            Assert.Equal(IoErr, last);
            guest.Data(4096).Clear();
            Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 0, 4096));
            Assert.Equal(-1, guest.Data(4096).IndexOfAnyExcept((byte)0x5a));
        }
        Directory.Delete(folder, recursive: true);
    }

    // The same without the right to mount: a device that has room for nothing, and reads as zeros.
    [Fact]
    public void B5_write_that_there_is_no_room_for_fails_alone()
    {
        HostFileStatus status = new(HostFileKind.BlockDevice, 1 << 20, 0, 0, 0, 0, 0, 0);
        FileBackend full = new(HostFile.TryOpen("/dev/full", Libc.O_RDWR, out _)!, status, "full", readOnly: false, serial: null);
        VirtioBlockDevice device = new(full, new DiskOptions("full") { Engine = engine });
        using BlockGuest guest = new(device);
        for (int i = 1; i <= 3; i++)
        {
            guest.Data(4096).Fill(0x5a);
            Assert.Equal(IoErr, guest.Request(VirtioBlockType.Out, 8, 4096));
            Assert.Equal(i, device.HostErrors);
            Assert.Equal(Ok, guest.Request(VirtioBlockType.In, 8, 4096));
            Assert.Equal(-1, guest.Data(4096).IndexOfAnyExcept((byte)0));
        }
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void B8_image_in_use_is_refused()
    {
        using BlockGuest guest = Guest();
        MicroVmException e = Assert.Throws<MicroVmException>(() => FileBackend.Open(guest.Path, readOnly: false));
        // It is this process that has it.
        Assert.Equal((FailureKind.Usage, $"{guest.Path}: this process has it open as {guest.Path}"), (e.Kind, e.Where));
        Assert.Throws<MicroVmException>(() => FileBackend.Open(guest.Path, readOnly: true));
    }

    [Fact]
    public void B8_readers_share_an_image()
    {
        using BlockGuest guest = Guest(readOnly: true);
        FileBackend.Open(guest.Path, readOnly: true).Dispose();
        Assert.Throws<MicroVmException>(() => FileBackend.Open(guest.Path, readOnly: false));
    }

    [Theory]
    [InlineData("/nonexistent/disk")]
    [InlineData("/tmp")]
    [InlineData("/dev/null")]
    [InlineData("")]
    public void Path_that_is_no_image_is_refused(string path)
    {
        foreach (bool readOnly in (bool[])[true, false])
        {
            Assert.Equal(FailureKind.Image, Assert.Throws<MicroVmException>(() => FileBackend.Open(path, readOnly)).Kind);
        }
    }

    [Fact]
    public void Bytes_after_the_last_sector_are_not_shown()
    {
        string path = Path.GetTempFileName();
        Assert.Throws<MicroVmException>(() => FileBackend.Open(path, readOnly: true));
        File.WriteAllBytes(path, new byte[1500]);
        using FileBackend disk = FileBackend.Open(path, readOnly: false);
        Assert.Equal((2ul, 476ul), (disk.Sectors, disk.IgnoredBytes));
        File.Delete(path);
    }

    [Fact]
    public void Capacity_and_limits_stand_in_the_configuration()
    {
        using BlockGuest guest = Guest();
        uint config = GuestDriver.Offset("Config");
        Assert.Equal(2048ul, guest.Driver.Page.Load<ulong>(config));
        Assert.Equal(254u, guest.Driver.Page.Load<uint>(config + 0xc));
        Assert.Equal(512u, guest.Driver.Page.Load<uint>(config + 0x14));
    }

    private BlockGuest Guest(bool readOnly = false, uint queueSize = 256, ulong features = GuestDriver.AllFeatures, string? path = null) =>
        new(readOnly: readOnly, queueSize: queueSize, features: features, path: path, options: new DiskOptions("") { Engine = engine });
}
