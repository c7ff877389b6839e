using System.Runtime.CompilerServices;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Vfio;

/// <summary>Bindings of iommufd, as far as they go without it.</summary>
public sealed class IommufdTests
{
    [Fact]
    public void Structures_have_the_sizes_of_the_headers()
    {
        // linux/iommufd.h
        Assert.Equal((8, 12, 16), (Unsafe.SizeOf<IommufdAbi.DestroyObject>(), Unsafe.SizeOf<IommufdAbi.AllocIoas>(), Unsafe.SizeOf<IommufdAbi.IovaRange>()));
        Assert.Equal((32, 40, 24), (Unsafe.SizeOf<IommufdAbi.IovaRanges>(), Unsafe.SizeOf<IommufdAbi.MapIoas>(), Unsafe.SizeOf<IommufdAbi.UnmapIoas>()));
        // linux/vfio.h
        Assert.Equal((16, 12), (Unsafe.SizeOf<VfioAbi.BindIommufd>(), Unsafe.SizeOf<VfioAbi.AttachIommufd>()));
        // linux/kvm.h
        Assert.Equal((12, 24), (Unsafe.SizeOf<KvmAbi.NewDevice>(), Unsafe.SizeOf<KvmAbi.DeviceAttribute>()));
    }

    [Fact]
    public void Another_file_is_no_iommufd()
    {
        using HostFile file = HostFile.TryOpen("/dev/null", Libc.O_RDWR, out _)!;
        Assert.Null(IommufdSpace.TryCreate(file, out int error));
        Assert.Equal(25, error); // ENOTTY
    }

    [Fact]
    public void A_descriptor_that_was_given_stays_open()
    {
        using HostFile given = HostFile.TryOpen("/dev/null", Libc.O_RDWR, out _)!;
        using (HostFile copy = HostFile.TryDuplicate(given.Descriptor, out int error)!)
        {
            Assert.Equal(0, error);
            Assert.NotEqual(given.Descriptor, copy.Descriptor);
        }
        Assert.True(given.TryStatus(out _, out _));
        Assert.Null(HostFile.TryDuplicate(1 << 20, out int closed));
        Assert.Equal(Libc.EBADF, closed);
    }
}
