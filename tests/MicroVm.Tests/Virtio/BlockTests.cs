using MicroVm.Devices;
using MicroVm.Virtio.Block;
using Xunit;

namespace MicroVm.Tests.Virtio;

public class BlockTests
{
    [Fact]
    public void Read_write_flush_and_identity()
    {
        using BlockGuest guest = new();
        Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.In, 3, 4096));
        Assert.Equal(guest.Image().AsSpan(3 * 512, 4096), guest.Data(4096));
        new Random(9).NextBytes(guest.Data(8192));
        Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.Out, 5, 8192));
        Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.Flush, 0, 0));
        Assert.Equal(guest.Image().AsSpan(5 * 512, 8192), guest.Data(8192));
        Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.GetId, 0, 20));
        Assert.Equal("serial-0123\0\0\0\0\0\0\0\0\0"u8, guest.Data(20));
        Assert.True(guest.Driver.Line.Event.Drain() >= 1);
    }
}
