namespace MicroVm.Kvm;

/// <summary>One IOMMU address space: the devices of the groups in it reach what <see cref="Map"/> gave them, and nothing else.</summary>
/// <remarks>Methods answer 0 or the error number; what it means is said by those who call.</remarks>
internal sealed unsafe class VfioContainer : IDisposable
{
    internal const string DevicePath = "/dev/vfio/vfio";

    private readonly int _fd;

    private VfioContainer(int fd) => _fd = fd;

    /// <summary>Opens an empty one; null and the error number if the host refuses.</summary>
    internal static VfioContainer? TryOpen(out int error)
    {
        int fd = Libc.Open(DevicePath, Libc.O_RDWR);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new VfioContainer(fd);
    }

    /// <summary>This kernel speaks the interface that this program knows, with an IOMMU behind it.</summary>
    internal bool IsUsable => Libc.ioctl(_fd, VfioAbi.GetApiVersion, 0) == VfioAbi.ApiVersion && Libc.ioctl(_fd, VfioAbi.CheckExtension, VfioAbi.Type1v2Iommu) > 0;

    /// <summary>Takes a group in.</summary>
    internal int Attach(VfioGroup group)
    {
        int fd = _fd;
        return group.Attach(&fd);
    }

    /// <summary>Chooses the IOMMU, once, after the first group.</summary>
    internal int SetIommu() => Libc.ioctl(_fd, VfioAbi.SetIommu, VfioAbi.Type1v2Iommu) == 0 ? 0 : Libc.Errno;

    /// <summary>Lets the devices read and write memory of this process at <paramref name="iova"/>; its pages are pinned.</summary>
    internal int Map(ulong iova, ulong length, nint hostAddress)
    {
        VfioAbi.DmaMap map = new() { Size = (uint)sizeof(VfioAbi.DmaMap), Flags = VfioAbi.DmaRead | VfioAbi.DmaWrite, HostAddress = (ulong)hostAddress, Iova = iova, Length = length };
        return Libc.ioctl(_fd, VfioAbi.IommuMapDma, &map) == 0 ? 0 : Libc.Errno;
    }

    /// <summary>Takes all mappings away when the last device is closed too.</summary>
    public void Dispose() => _ = Libc.close(_fd);
}

/// <summary>The devices that the IOMMU cannot tell apart, and which therefore are assigned together or not at all.</summary>
internal sealed unsafe class VfioGroup : IDisposable
{
    private readonly int _fd;

    private VfioGroup(int fd) => _fd = fd;

    /// <summary>Opens <c>/dev/vfio/N</c>; null and the error number if the host refuses.</summary>
    internal static VfioGroup? TryOpen(string path, out int error)
    {
        int fd = Libc.Open(path, Libc.O_RDWR);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new VfioGroup(fd);
    }

    /// <summary>No device of the group is bound to a driver of the host.</summary>
    internal bool IsViable
    {
        get
        {
            VfioAbi.GroupStatus status = new() { Size = (uint)sizeof(VfioAbi.GroupStatus) };
            return Libc.ioctl(_fd, VfioAbi.GroupGetStatus, &status) == 0 && (status.Flags & VfioAbi.GroupViable) != 0;
        }
    }

    /// <summary>A device of the group; null and the error number if the host refuses.</summary>
    /// <param name="name">Address as the host writes it: <c>0000:00:03.0</c>.</param>
    /// <param name="error">Why not.</param>
    internal VfioDeviceFile? TryOpenDevice(string name, out int error)
    {
        int fd;
        fixed (byte* p = Libc.Path(name)) fd = Libc.ioctl(_fd, VfioAbi.GroupGetDeviceFd, p);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new VfioDeviceFile(fd);
    }

    internal int Attach(int* container) => Libc.ioctl(_fd, VfioAbi.GroupSetContainer, container) == 0 ? 0 : Libc.Errno;

    public void Dispose() => _ = Libc.close(_fd);
}
