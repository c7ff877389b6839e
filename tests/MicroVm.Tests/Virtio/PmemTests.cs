using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Pmem;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>A file as the guest's memory: what is written is the file's, a flush is answered, and a file that ends under the guest ends nothing else (row B9).</summary>
public sealed class PmemTests : IDisposable
{
    private const int Length = 4 << 20;

    private readonly string _path = Path.GetTempFileName();
    private readonly GuestMemory _memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000, 16 << 20);
    private readonly List<string> _warnings = [];
    private VirtioPmemDevice _device = null!;

    public PmemTests() => File.WriteAllBytes(_path, new byte[Length]);

    public void Dispose()
    {
        _memory.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void What_the_guest_writes_is_the_files_and_a_flush_says_so()
    {
        using GuestDriver guest = Start(readOnly: false, out GuestQueue queue);
        Assert.True(_memory.TryWrite(_device.File.Start + 4096, 0x1122_3344_5566_7788ul));
        Assert.Equal(0u, Flush(queue));
        Assert.Equal(0x1122_3344_5566_7788ul, BitConverter.ToUInt64(Read(4096, 8)));
        uint config = GuestDriver.Offset("Config");
        Assert.Equal(_device.File.Start, guest.Page.Load<ulong>(config));
        Assert.Equal((ulong)Length, guest.Page.Load<ulong>(config + 8));
    }

    [Fact]
    public void A_file_that_is_read_only_never_changes_whoever_writes()
    {
        using GuestDriver guest = Start(readOnly: true, out GuestQueue queue);
        Assert.True(_memory.Regions[^1] is { ReadOnly: true, IsFile: true });
        Assert.True(_memory.TryWrite(_device.File.Start, 1ul));   // a device of ours, told to by the guest
        Assert.Equal(0u, Flush(queue));
        Assert.Equal(0, Read(0, 1)[0]);
    }

    [Fact]
    public void B9_a_file_that_is_cut_short_reads_as_zeros_and_no_flush_succeeds()
    {
        using GuestDriver guest = Start(readOnly: false, out GuestQueue queue);
        Assert.True(_memory.TryWrite(_device.File.Start, 7ul));
        Assert.True(_memory.TryWrite(_device.File.Start + (3 << 20), 8ul));
        Cut(1 << 20);
        // This would be a bus error.
        Assert.True(_memory.TryRead(_device.File.Start + (3 << 20), out ulong gone));
        Assert.Equal(0ul, gone);
        Assert.True(_memory.TryWrite(_device.File.Start + (2 << 20), 9ul));
        Assert.True(_memory.TryRead(_device.File.Start, out ulong left));
        Assert.Equal(7ul, left);
        Assert.Equal(1u, Flush(queue));
        Assert.Equal(1u, Flush(queue));
        string warning = Assert.Single(_warnings);
        Assert.Contains(_path, warning);
        Assert.True(_device.File.IsLost);
        Assert.Equal(1 << 20, new FileInfo(_path).Length);
    }

    [Fact]
    public void B9_a_fault_of_the_guest_is_mended_once()
    {
        using GuestDriver guest = Start(readOnly: false, out _);
        Assert.False(_device.File.Mend());
        Cut(2 << 20);
        Assert.True(_device.File.Mend());
        Assert.True(_memory.TryRead(_device.File.Start + (2 << 20), out ulong gone));
        Assert.Equal(0ul, gone);
        Cut(0);
        Assert.True(_device.File.Mend());
        Assert.True(_memory.TryRead(_device.File.Start, out gone));
        Assert.Equal(0ul, gone);
    }

    [Fact]
    public void Flushes_that_are_none_fail()
    {
        using GuestDriver guest = Start(readOnly: false, out GuestQueue queue);
        Assert.Equal(1u, Flush(queue, type: 1));
        queue.DescribeChain(0, null, new(queue.Data, 3, false), new(queue.Data + 64, 4, true));
        Assert.NotNull(queue.Transact(0));
        Assert.Equal(1u, queue.Ram.Load<uint>(queue.Data + 64));
        queue.DescribeChain(0, null, new(queue.Data, 4, false), new(queue.Data + 64, 3, true));
        Assert.Null(queue.Transact(0));
    }

    [Fact]
    public void A_file_that_cannot_be_is_refused()
    {
        File.WriteAllBytes(_path, new byte[Length + 4096]);
        Assert.Contains("truncate -s %2M", Assert.Throws<MicroVmException>(() => PmemFile.Open(_path, readOnly: false)).Message);
        File.WriteAllBytes(_path, []);
        Assert.Throws<MicroVmException>(() => PmemFile.Open(_path, readOnly: false));
        Assert.Throws<MicroVmException>(() => PmemFile.Open("/dev/null", readOnly: false));
        Assert.Throws<MicroVmException>(() => PmemFile.Open("/nowhere", readOnly: true));
        File.WriteAllBytes(_path, new byte[Length]);
        using PmemFile first = PmemFile.Open(_path, readOnly: false);
        Assert.Contains($"this process has it open as {_path}",
            Assert.Throws<MicroVmException>(() => PmemFile.Open(_path, readOnly: true)).Message);
    }

    private GuestDriver Start(bool readOnly, out GuestQueue queue)
    {
        _device = VirtioPmemDevice.Open(new PmemOptions(_path) { ReadOnly = readOnly }, _warnings.Add);
        ((IPlacedDevice)_device).Place(_memory);
        ((IPlacedDevice)_device).Provide();
        GuestDriver guest = new(_device, _memory);
        queue = guest.Start(16).Queues[0];
        return guest;
    }

    private static uint Flush(GuestQueue queue, uint type = 0)
    {
        queue.Ram.Store(queue.Data, type);
        queue.DescribeChain(0, null, new(queue.Data, 4, false), new(queue.Data + 64, 4, true));
        Assert.Equal(4u, queue.Transact(0)!.Value.Len);
        return queue.Ram.Load<uint>(queue.Data + 64);
    }

    // Not by the library's streams, which ask for the lock.
    private byte[] Read(ulong at, int count)
    {
        using HostFile file = HostFile.TryOpen(_path, Libc.O_RDONLY, out _)!;
        byte[] bytes = new byte[count];
        Assert.Equal(count, file.Read(bytes, at));
        return bytes;
    }

    private void Cut(long length)
    {
        using HostFile file = HostFile.TryOpen(_path, Libc.O_RDWR, out _)!;
        Assert.Equal(0, Libc.ftruncate(file.Descriptor, length));
    }
}
