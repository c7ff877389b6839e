namespace MicroVm.Kvm;

/// <summary>A range in the IOMMU.</summary>
/// <param name="Iova">First address as the devices see it.</param>
/// <param name="Length">Bytes.</param>
/// <param name="HostAddress">Where this process has it.</param>
internal readonly record struct VfioMapping(ulong Iova, ulong Length, nint HostAddress);

/// <summary>One IOMMU address space: the devices of the groups in it reach what <see cref="Map"/> gave them, and nothing else.</summary>
/// <remarks>Methods answer 0 or the error number; what it means is said by those who call.</remarks>
internal sealed unsafe class VfioContainer : IDisposable
{
    internal const string DevicePath = "/dev/vfio/vfio";

    internal const int DuplicateCloseOnExec = 1030, FirstFree = 3;
    private const int InfoBuffer = 4096;

    private readonly int _fd;
    private readonly List<VfioMapping> _mappings = [];

    private VfioContainer(int fd) => _fd = fd;

    /// <summary>Opens an empty one; null and the error number if the host refuses.</summary>
    internal static VfioContainer? TryOpen(out int error)
    {
        int fd = Libc.Open(DevicePath, Libc.O_RDWR);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new VfioContainer(fd);
    }

    /// <summary>Uses one that is open; the descriptor is duplicated and stays the caller's. Null and the error number if it is not open.</summary>
    internal static VfioContainer? TryTake(int given, out int error)
    {
        int fd = Libc.fcntl(given, DuplicateCloseOnExec, FirstFree);
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
    internal int Map(ulong iova, ulong length, nint hostAddress, uint flags = VfioAbi.DmaRead | VfioAbi.DmaWrite)
    {
        VfioAbi.DmaMap map = new() { Size = (uint)sizeof(VfioAbi.DmaMap), Flags = flags, HostAddress = (ulong)hostAddress, Iova = iova, Length = length };
        if (Libc.ioctl(_fd, VfioAbi.IommuMapDma, &map) != 0) return Libc.Errno;
        lock (_mappings) _mappings.Add(new VfioMapping(iova, length, hostAddress));
        return 0;
    }

    /// <summary>What is mapped now.</summary>
    internal VfioMapping[] Mappings
    {
        get
        {
            lock (_mappings) return [.. _mappings];
        }
    }

    /// <summary>Takes the mappings in a range away, which must not cut one in two; none there is no error.</summary>
    internal int Unmap(ulong iova, ulong length)
    {
        VfioAbi.DmaUnmap unmap = new() { Size = (uint)sizeof(VfioAbi.DmaUnmap), Iova = iova, Length = length };
        if (Libc.ioctl(_fd, VfioAbi.IommuUnmapDma, &unmap) != 0) return Libc.Errno;
        lock (_mappings) _mappings.RemoveAll(m => m.Iova - iova < length);
        return 0;
    }

    /// <summary>The addresses that can be mapped, in order, once there is a group; none where the kernel does not say.</summary>
    internal IReadOnlyList<(ulong First, ulong Last)> Ranges()
    {
        byte* buffer = stackalloc byte[InfoBuffer];
        VfioAbi.IommuInfo* info = (VfioAbi.IommuInfo*)buffer;
        *info = new VfioAbi.IommuInfo { Size = InfoBuffer };
        List<(ulong, ulong)> ranges = [];
        if (Libc.ioctl(_fd, VfioAbi.IommuGetInfo, info) != 0 || (info->Flags & VfioAbi.IommuInfoCaps) == 0 || info->Size > InfoBuffer) return ranges;
        // SAFETY: every offset is checked against the size that the kernel said it filled.
        for (uint at = info->CapOffset; at != 0 && at + 16 <= info->Size;)
        {
            VfioAbi.CapHeader* cap = (VfioAbi.CapHeader*)(buffer + at);
            if (cap->Id == VfioAbi.IommuCapRanges)
            {
                // struct vfio_iommu_type1_info_cap_iova_range: a count, padding, pairs of first and last.
                uint count = *(uint*)(buffer + at + 8);
                for (uint i = 0; i < count && at + 16 + (i + 1) * 16 <= info->Size; i++)
                {
                    ulong* range = (ulong*)(buffer + at + 16 + i * 16);
                    ranges.Add((range[0], range[1]));
                }
                return ranges;
            }
            if (cap->Next <= at) break;
            at = cap->Next;
        }
        return ranges;
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

    /// <summary>Uses one that is open; the descriptor is duplicated and stays the caller's. Null and the error number if it is not open.</summary>
    internal static VfioGroup? TryTake(int given, out int error)
    {
        int fd = Libc.fcntl(given, VfioContainer.DuplicateCloseOnExec, VfioContainer.FirstFree);
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
