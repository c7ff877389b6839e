namespace MicroVm.Kvm;

/// <summary>The address space of VFIO's first interface: the devices of the groups in it.</summary>
/// <param name="file">Open <c>/dev/vfio/vfio</c>; owned from then on.</param>
internal sealed unsafe class VfioContainer(HostFile file) : IoAddressSpace
{
    internal const string DevicePath = "/dev/vfio/vfio";

    private const int InfoBuffer = 4096;

    internal override string Kind => "container";

    /// <summary>This kernel speaks the interface that this program knows, with an IOMMU behind it.</summary>
    internal bool IsUsable => Libc.ioctl(file.Descriptor, VfioAbi.GetApiVersion, 0) == VfioAbi.ApiVersion && Libc.ioctl(file.Descriptor, VfioAbi.CheckExtension, VfioAbi.Type1v2Iommu) > 0;

    /// <summary>Takes a group in.</summary>
    internal int Attach(VfioGroup group) => group.Attach(file.Descriptor);

    /// <summary>Chooses the IOMMU, once, after the first group.</summary>
    internal int SetIommu() => Libc.ioctl(file.Descriptor, VfioAbi.SetIommu, VfioAbi.Type1v2Iommu) == 0 ? 0 : Libc.Errno;

    protected override int MapPages(in VfioMapping mapping, uint access)
    {
        VfioAbi.DmaMap map = new() { Size = (uint)sizeof(VfioAbi.DmaMap), Flags = access, HostAddress = (ulong)mapping.HostAddress, Iova = mapping.Iova, Length = mapping.Length };
        return Libc.ioctl(file.Descriptor, VfioAbi.IommuMapDma, &map) == 0 ? 0 : Libc.Errno;
    }

    protected override int UnmapPages(ulong iova, ulong length)
    {
        VfioAbi.DmaUnmap unmap = new() { Size = (uint)sizeof(VfioAbi.DmaUnmap), Iova = iova, Length = length };
        return Libc.ioctl(file.Descriptor, VfioAbi.IommuUnmapDma, &unmap) == 0 ? 0 : Libc.Errno;
    }

    internal override IReadOnlyList<(ulong First, ulong Last)> Ranges()
    {
        byte* buffer = stackalloc byte[InfoBuffer];
        VfioAbi.IommuInfo* info = (VfioAbi.IommuInfo*)buffer;
        *info = new VfioAbi.IommuInfo { Size = InfoBuffer };
        List<(ulong, ulong)> ranges = [];
        if (Libc.ioctl(file.Descriptor, VfioAbi.IommuGetInfo, info) != 0 || (info->Flags & VfioAbi.IommuInfoCaps) == 0 || info->Size > InfoBuffer) return ranges;
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

    public override void Dispose() => file.Dispose();
}

/// <summary>The devices that the IOMMU cannot tell apart, and which therefore are assigned together or not at all.</summary>
/// <param name="file">Open <c>/dev/vfio/N</c>; owned from then on.</param>
internal sealed unsafe class VfioGroup(HostFile file) : IDisposable
{
    private KvmVm? _vm;

    /// <summary>No device of the group is bound to a driver of the host.</summary>
    internal bool IsViable
    {
        get
        {
            VfioAbi.GroupStatus status = new() { Size = (uint)sizeof(VfioAbi.GroupStatus) };
            return Libc.ioctl(file.Descriptor, VfioAbi.GroupGetStatus, &status) == 0 && (status.Flags & VfioAbi.GroupViable) != 0;
        }
    }

    /// <summary>A device of the group; null and the error number if the host refuses.</summary>
    /// <param name="name">Address as the host writes it: <c>0000:00:03.0</c>.</param>
    /// <param name="error">Why not.</param>
    internal VfioDeviceFile? TryOpenDevice(string name, out int error)
    {
        int fd;
        fixed (byte* p = Libc.Path(name)) fd = Libc.ioctl(file.Descriptor, VfioAbi.GroupGetDeviceFd, p);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new VfioDeviceFile(HostFile.FromDescriptor(fd), attached: false);
    }

    internal int Attach(int container) => Libc.ioctl(file.Descriptor, VfioAbi.GroupSetContainer, &container) == 0 ? 0 : Libc.Errno;

    /// <summary>Tells KVM of it, until it is closed: KVM keeps the file open too.</summary>
    internal void Join(KvmVm vm)
    {
        vm.AddVfioFile(file.Descriptor);
        _vm = vm;
    }

    public void Dispose()
    {
        _vm?.RemoveVfioFile(file.Descriptor);
        file.Dispose();
    }
}
