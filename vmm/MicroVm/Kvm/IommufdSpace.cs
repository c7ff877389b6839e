namespace MicroVm.Kvm;

/// <summary>An I/O address space of iommufd: the devices that were bound and attached, each by a file of its own.</summary>
internal sealed unsafe class IommufdSpace : IoAddressSpace
{
    internal const string DevicePath = "/dev/iommu";

    private const int MaxRanges = 256;

    private readonly HostFile _file;
    private readonly uint _id;

    private IommufdSpace(HostFile file, uint id) => (_file, _id) = (file, id);

    internal override string Kind => "iommufd";

    /// <summary>Makes one; null and the error number if the host refuses.</summary>
    /// <param name="file">Open <c>/dev/iommu</c>; owned by what is made.</param>
    /// <param name="error">Why not.</param>
    internal static IommufdSpace? TryCreate(HostFile file, out int error)
    {
        IommufdAbi.AllocIoas alloc = new() { Size = (uint)sizeof(IommufdAbi.AllocIoas) };
        error = Libc.ioctl(file.Descriptor, IommufdAbi.IoasAlloc, &alloc) == 0 ? 0 : Libc.Errno;
        return error == 0 ? new IommufdSpace(file, alloc.Id) : null;
    }

    /// <summary>Takes the device of an open <c>/dev/vfio/devices/vfioN</c> from the host; it cannot be used before. Ends when that file is closed.</summary>
    internal int Bind(HostFile device)
    {
        VfioAbi.BindIommufd bind = new() { Size = (uint)sizeof(VfioAbi.BindIommufd), Iommufd = _file.Descriptor };
        return Libc.ioctl(device.Descriptor, VfioAbi.DeviceBindIommufd, &bind) == 0 ? 0 : Libc.Errno;
    }

    /// <summary>Takes a bound device in. Ends when its file is closed.</summary>
    internal int Attach(HostFile device)
    {
        VfioAbi.AttachIommufd attach = new() { Size = (uint)sizeof(VfioAbi.AttachIommufd), Target = _id };
        return Libc.ioctl(device.Descriptor, VfioAbi.DeviceAttachIommufdPt, &attach) == 0 ? 0 : Libc.Errno;
    }

    internal override IReadOnlyList<(ulong First, ulong Last)> Ranges()
    {
        IommufdAbi.IovaRange* found = stackalloc IommufdAbi.IovaRange[MaxRanges];
        IommufdAbi.IovaRanges request = new() { Size = (uint)sizeof(IommufdAbi.IovaRanges), Ioas = _id, Count = MaxRanges, Ranges = (ulong)found };
        List<(ulong, ulong)> ranges = [];
        // SAFETY: the kernel fills no more of them than there is room for, and says how many.
        if (Libc.ioctl(_file.Descriptor, IommufdAbi.IoasIovaRanges, &request) != 0) return ranges;
        for (uint i = 0; i < request.Count; i++) ranges.Add((found[i].First, found[i].Last));
        return ranges;
    }

    // A file that was given stays open: what is mapped goes here and now, not when its owner closes it.
    public override void Dispose()
    {
        IommufdAbi.DestroyObject destroy = new() { Size = (uint)sizeof(IommufdAbi.DestroyObject), Id = _id };
        _ = Libc.ioctl(_file.Descriptor, IommufdAbi.Destroy, &destroy);
        _file.Dispose();
    }

    protected override int MapPages(in VfioMapping mapping, uint access)
    {
        IommufdAbi.MapIoas map = new()
        {
            Size = (uint)sizeof(IommufdAbi.MapIoas),
            Flags = IommufdAbi.MapFixedIova | ((access & VfioAbi.DmaRead) != 0 ? IommufdAbi.MapReadable : 0) | ((access & VfioAbi.DmaWrite) != 0 ? IommufdAbi.MapWriteable : 0),
            Ioas = _id,
            HostAddress = (ulong)mapping.HostAddress,
            Length = mapping.Length,
            Iova = mapping.Iova,
        };
        return Libc.ioctl(_file.Descriptor, IommufdAbi.IoasMap, &map) == 0 ? 0 : Libc.Errno;
    }

    // The kernel has one error number for a range that has no mapping and for one that cuts one; only the second is an error here.
    protected override int UnmapPages(ulong iova, ulong length)
    {
        if (!Touches(iova, length)) return 0;
        IommufdAbi.UnmapIoas unmap = new() { Size = (uint)sizeof(IommufdAbi.UnmapIoas), Ioas = _id, Iova = iova, Length = length };
        return Libc.ioctl(_file.Descriptor, IommufdAbi.IoasUnmap, &unmap) == 0 ? 0 : Libc.Errno;
    }
}
