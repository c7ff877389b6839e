using MicroVm.Vfio;

namespace MicroVm.Kvm;

/// <summary>A region of an assigned device: a BAR, or its configuration space.</summary>
/// <param name="Length">Bytes, 0 for none.</param>
/// <param name="Offset">Where it is in the device's file.</param>
/// <param name="Areas">The parts that can be mapped, in the order of their offsets; none where accesses must go through the file.</param>
internal sealed record VfioRegion(ulong Length, ulong Offset, IReadOnlyList<(ulong Offset, ulong Length)> Areas);

/// <summary>An assigned device as VFIO gives it. No method throws: a device that has gone away answers with error numbers.</summary>
internal sealed unsafe class VfioDeviceFile : IVfioDevice
{
    private const int RegionBuffer = 4096;

    private readonly List<(nint Address, nuint Length)> _mappings = [];
    private readonly HostFile _file;
    private readonly bool _attached;
    private readonly VfioAbi.DeviceInfo _info;
    private KvmVm? _vm;

    /// <param name="file">Open, of a group or bound; owned from then on.</param>
    /// <param name="attached">It is in an address space of iommufd.</param>
    internal VfioDeviceFile(HostFile file, bool attached)
    {
        (_file, _attached) = (file, attached);
        VfioAbi.DeviceInfo info = new() { Size = (uint)sizeof(VfioAbi.DeviceInfo) };
        if (Libc.ioctl(file.Descriptor, VfioAbi.DeviceGetInfo, &info) == 0) _info = info;
    }

    /// <summary>Tells KVM of it, until it is closed: KVM keeps the file open too.</summary>
    internal void Join(KvmVm vm)
    {
        vm.AddVfioFile(_file.Descriptor);
        _vm = vm;
    }

    /// <inheritdoc/>
    public bool CanReset => (_info.Flags & VfioAbi.DeviceCanReset) != 0;

    /// <summary>It is a PCI function.</summary>
    internal bool IsPci => (_info.Flags & VfioAbi.DeviceIsPci) != 0;

    /// <inheritdoc/>
    public int Reset() => Libc.ioctl(_file.Descriptor, VfioAbi.DeviceReset, 0) == 0 ? 0 : Libc.Errno;

    /// <inheritdoc/>
    public VfioRegion Region(uint index)
    {
        byte* buffer = stackalloc byte[RegionBuffer];
        VfioAbi.RegionInfo* info = (VfioAbi.RegionInfo*)buffer;
        *info = new VfioAbi.RegionInfo { Size = RegionBuffer, Index = index };
        if (Libc.ioctl(_file.Descriptor, VfioAbi.DeviceGetRegionInfo, info) != 0) return new VfioRegion(0, 0, []);
        List<(ulong, ulong)> areas = [];
        if ((info->Flags & VfioAbi.RegionMmap) != 0 && !AddSparseAreas(buffer, areas)) areas.Add((0, info->Length));
        return new VfioRegion(info->Length, info->Offset, areas);
    }

    /// <inheritdoc/>
    public uint InterruptCount(VfioAbi.IrqIndex index, out bool fixedSize)
    {
        VfioAbi.IrqInfo info = new() { Size = (uint)sizeof(VfioAbi.IrqInfo), Index = (uint)index };
        bool ok = (uint)index < _info.Irqs && Libc.ioctl(_file.Descriptor, VfioAbi.DeviceGetIrqInfo, &info) == 0;
        fixedSize = (info.Flags & VfioAbi.IrqNoResize) != 0;
        return ok ? info.Count : 0;
    }

    /// <inheritdoc/>
    public int Connect(VfioAbi.IrqIndex index, uint start, ReadOnlySpan<int> events)
    {
        byte[] buffer = new byte[sizeof(VfioAbi.IrqSet) + events.Length * sizeof(int)];
        fixed (byte* p = buffer)
        {
            // SAFETY: struct vfio_irq_set is a head and as many descriptors as its count says.
            *(VfioAbi.IrqSet*)p = Set(index, VfioAbi.DataEventFd | VfioAbi.ActionTrigger, start, (uint)events.Length, buffer.Length);
            events.CopyTo(new Span<int>(p + sizeof(VfioAbi.IrqSet), events.Length));
            return Irqs(p);
        }
    }

    /// <inheritdoc/>
    public int Disconnect(VfioAbi.IrqIndex index)
    {
        VfioAbi.IrqSet set = Set(index, VfioAbi.DataNone | VfioAbi.ActionTrigger, 0, 0, sizeof(VfioAbi.IrqSet));
        return Irqs(&set);
    }

    /// <inheritdoc/>
    public int Unmask(VfioAbi.IrqIndex index)
    {
        VfioAbi.IrqSet set = Set(index, VfioAbi.DataNone | VfioAbi.ActionUnmask, 0, 1, sizeof(VfioAbi.IrqSet));
        return Irqs(&set);
    }

    /// <inheritdoc/>
    public bool TryRead(VfioRegion region, ulong offset, int width, out ulong value)
    {
        ulong bytes = 0;
        bool ok = offset <= region.Length && (ulong)width <= region.Length - offset && _file.Read(new Span<byte>(&bytes, width), region.Offset + offset) == width;
        value = ok ? bytes : 0;
        return ok;
    }

    /// <inheritdoc/>
    public bool TryWrite(VfioRegion region, ulong offset, int width, ulong value) =>
        offset <= region.Length && (ulong)width <= region.Length - offset && _file.Write(new ReadOnlySpan<byte>(&value, width), region.Offset + offset) == width;

    /// <inheritdoc/>
    public nint Map(VfioRegion region, ulong offset, ulong length)
    {
        // SAFETY: a fresh mapping, given back by Dispose; the guest reaches it through a memory slot that is gone by then.
        void* at = Libc.mmap(null, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _file.Descriptor, (long)(region.Offset + offset));
        if (at == Libc.MapFailed) return 0;
        _mappings.Add(((nint)at, (nuint)length));
        return (nint)at;
    }

    /// <summary>Gives the device back to the kernel, which resets it.</summary>
    public void Dispose()
    {
        foreach ((nint address, nuint length) in _mappings) _ = Libc.munmap((void*)address, length);
        _mappings.Clear();
        _vm?.RemoveVfioFile(_file.Descriptor);
        _vm = null;
        // A file that was given stays open, and what is attached keeps its address space.
        VfioAbi.DetachIommufd detach = new() { Size = (uint)sizeof(VfioAbi.DetachIommufd) };
        if (_attached) _ = Libc.ioctl(_file.Descriptor, VfioAbi.DeviceDetachIommufdPt, &detach);
        _file.Dispose();
    }

    private static VfioAbi.IrqSet Set(VfioAbi.IrqIndex index, uint flags, uint start, uint count, int size) =>
        new() { Size = (uint)size, Flags = flags, Index = (uint)index, Start = start, Count = count };

    // A positive answer says that there are only so many interrupts left, and that none was connected.
    private int Irqs(void* set) => Libc.ioctl(_file.Descriptor, VfioAbi.DeviceSetIrqs, set) switch { 0 => 0, < 0 => Libc.Errno, _ => Libc.ENOSPC };

    // SAFETY: every offset is checked against the size that the kernel said it filled.
    private static bool AddSparseAreas(byte* buffer, List<(ulong, ulong)> areas)
    {
        VfioAbi.RegionInfo* info = (VfioAbi.RegionInfo*)buffer;
        if ((info->Flags & VfioAbi.RegionCaps) == 0 || info->Size > RegionBuffer) return false;
        uint size = info->Size;
        for (uint at = info->CapOffset; at != 0 && at + 16 <= size;)
        {
            VfioAbi.CapHeader* cap = (VfioAbi.CapHeader*)(buffer + at);
            if (cap->Id == VfioAbi.RegionCapSparseMmap)
            {
                // struct vfio_region_info_cap_sparse_mmap: a count, padding, pairs of offset and length.
                uint count = *(uint*)(buffer + at + 8);
                for (uint i = 0; i < count && at + 16 + (i + 1) * 16 <= size; i++)
                {
                    ulong* area = (ulong*)(buffer + at + 16 + i * 16);
                    if (area[1] != 0) areas.Add((area[0], area[1]));
                }
                return true;
            }
            if (cap->Next <= at) break;
            at = cap->Next;
        }
        return false;
    }
}
