namespace MicroVm.Kvm;

/// <summary>A part of the guest's address space that KVM maps.</summary>
/// <param name="Number">KVM's number for it.</param>
/// <param name="GuestAddress">First guest physical address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="HostAddress">Where this process has it.</param>
/// <param name="ReadOnly">Writes exit.</param>
internal readonly record struct MemorySlot(uint Number, ulong GuestAddress, ulong Length, nint HostAddress, bool ReadOnly);

/// <summary>One virtual machine in KVM. The order of calls matters for start-up: memory slots, then <see cref="SplitIrqchip"/>, then vCPUs, then irqfds and ioeventfds (docs/decisions/0001).</summary>
internal sealed unsafe class KvmVm(int fd, int runSize) : IGuestSpace, IInterruptRoutes, IDisposable
{
    private readonly Lock _slots = new();
    private readonly Stack<uint> _freeSlots = new();
    private readonly List<MemorySlot> _slotsInUse = [];
    private uint _nextSlot;
    private int _vfio = -1;

    /// <summary>Memory slots that were ever in use at once, for tests.</summary>
    internal uint SlotsEver => _nextSlot;

    /// <summary>The slots of this moment, in the order of their addresses.</summary>
    internal MemorySlot[] Slots
    {
        get
        {
            lock (_slots) return [.. _slotsInUse.OrderBy(static s => s.GuestAddress)];
        }
    }

    /// <summary>Gives the guest memory: <paramref name="length"/> bytes at <paramref name="guestAddress"/>. Read-only memory exits on writes.</summary>
    /// <returns>The slot, for <see cref="RemoveMemory"/>.</returns>
    public uint AddMemory(ulong guestAddress, ulong length, nint hostAddress, bool readOnly = false)
    {
        uint slot;
        lock (_slots) slot = _freeSlots.TryPop(out uint free) ? free : _nextSlot++;
        KvmAbi.UserMemoryRegion region = new()
        {
            Slot = slot,
            Flags = readOnly ? KvmAbi.MemoryReadOnly : 0,
            GuestAddress = guestAddress,
            Size = length,
            HostAddress = (ulong)hostAddress,
        };
        Check(Libc.ioctl(fd, KvmAbi.SetUserMemoryRegion, &region), "cannot give memory to the guest", "KVM_SET_USER_MEMORY_REGION");
        lock (_slots) _slotsInUse.Add(new MemorySlot(slot, guestAddress, length, hostAddress, readOnly));
        return slot;
    }

    /// <summary>Takes memory away again. vCPUs that run see it gone when this returns.</summary>
    public void RemoveMemory(uint slot)
    {
        KvmAbi.UserMemoryRegion region = new() { Slot = slot };
        Check(Libc.ioctl(fd, KvmAbi.SetUserMemoryRegion, &region), "cannot take memory from the guest", "KVM_SET_USER_MEMORY_REGION");
        lock (_slots)
        {
            _slotsInUse.RemoveAll(s => s.Number == slot);
            _freeSlots.Push(slot);
        }
    }

    /// <summary>Three pages that KVM may use on Intel processors without unrestricted guest mode. Nothing of the guest's may be there.</summary>
    internal void SetTssAddress(uint address) => Check(Libc.ioctl(fd, KvmAbi.SetTssAddress, (nint)address), "cannot set up the machine", "KVM_SET_TSS_ADDR");

    /// <summary>Local APICs in KVM, the I/O APIC here. Must come before the first vCPU.</summary>
    /// <param name="pins">GSIs 0 to <paramref name="pins"/>-1 belong to the I/O APIC.</param>
    internal void SplitIrqchip(uint pins)
    {
        KvmAbi.Capability cap = new() { Cap = KvmAbi.CapSplitIrqchip, Argument0 = pins };
        Check(Libc.ioctl(fd, KvmAbi.EnableCap, &cap), "this KVM has no split interrupt controller", "KVM_CAP_SPLIT_IRQCHIP");
    }

    /// <summary>Makes vCPU <paramref name="id"/>, which is also its APIC id.</summary>
    internal KvmVcpu CreateVcpu(int id)
    {
        int vcpu = Libc.ioctl(fd, KvmAbi.CreateVcpu, id);
        if (vcpu < 0) throw Failed("cannot make a vCPU", $"number {id}: KVM_CREATE_VCPU", "Ask for fewer with --cpus");
        return new KvmVcpu(id, vcpu, runSize);
    }

    /// <summary>Replaces the whole table of interrupt routes; costs a grace period, so batch.</summary>
    public void SetRoutes(RouteTable routes) =>
        Check(Libc.ioctl(fd, KvmAbi.SetGsiRouting, routes.Address), "cannot route interrupts", "KVM_SET_GSI_ROUTING");

    /// <summary>Connects an event to a GSI: each signal becomes the message of that GSI's route. A signal that is already pending is delivered at once.</summary>
    public void ConnectIrqFd(int eventFd, uint gsi) => IrqFd(eventFd, gsi, 0);

    /// <summary>Disconnects it again; later signals stay counted in the event.</summary>
    public void DisconnectIrqFd(int eventFd, uint gsi) => IrqFd(eventFd, gsi, KvmAbi.IrqFdDeassign);

    /// <summary>Lets KVM turn a guest write into a signal of <paramref name="eventFd"/>.</summary>
    /// <param name="address">Guest physical address or port.</param>
    /// <param name="length">Width in bytes, or 0 for any (only without a match).</param>
    /// <param name="match">Only this value, or null for any.</param>
    /// <param name="eventFd">The event.</param>
    public void AddIoEventFd(ulong address, uint length, ulong? match, int eventFd) =>
        IoEventFd(address, length, match, eventFd, 0);

    /// <summary>Takes it back; the arguments are those of <see cref="AddIoEventFd"/>.</summary>
    public void RemoveIoEventFd(ulong address, uint length, ulong? match, int eventFd) =>
        IoEventFd(address, length, match, eventFd, KvmAbi.IoEventFdDeassign);

    /// <summary>Tells KVM of an assigned device, by the file of its group or its own. Where the host's IOMMU cannot make DMA snoop the caches, the guest's memory types and WBINVD count from then on
    /// (Documentation/virt/kvm/devices/vfio.rst). KVM keeps the file open until <see cref="RemoveVfioFile"/>.</summary>
    internal void AddVfioFile(int file)
    {
        if (_vfio < 0)
        {
            KvmAbi.NewDevice device = new() { Type = KvmAbi.DeviceVfio };
            int result = Libc.ioctl(fd, KvmAbi.CreateDevice, &device);
            // A KVM that is built without VFIO has nothing to be told.
            if (result < 0 && Libc.Errno == Libc.ENODEV) return;
            Check(result, "cannot tell KVM of the assigned device", "KVM_CREATE_DEVICE");
            _vfio = device.Fd;
        }
        Check(VfioFile(KvmAbi.VfioFileAdd, file), "cannot tell KVM of the assigned device", "KVM_DEV_VFIO_FILE_ADD");
    }

    /// <summary>It is assigned no more. After <see cref="Dispose"/> there is nothing to do.</summary>
    internal void RemoveVfioFile(int file)
    {
        if (_vfio >= 0) _ = VfioFile(KvmAbi.VfioFileRemove, file);
    }

    private int VfioFile(uint action, int file)
    {
        KvmAbi.DeviceAttribute attribute = new() { Group = KvmAbi.VfioFile, Attribute = action, Address = (ulong)&file };
        return Libc.ioctl(_vfio, KvmAbi.SetDeviceAttribute, &attribute);
    }

    private void IoEventFd(ulong address, uint length, ulong? match, int eventFd, uint flags)
    {
        KvmAbi.IoEventFdRequest request = new()
        {
            Datamatch = match ?? 0,
            Address = address,
            Length = length,
            Fd = eventFd,
            Flags = flags | (match is null ? 0 : KvmAbi.IoEventFdDatamatch),
        };
        Check(Libc.ioctl(fd, KvmAbi.IoEventFd, &request), "cannot register a doorbell", "KVM_IOEVENTFD");
    }

    private void IrqFd(int eventFd, uint gsi, uint flags)
    {
        KvmAbi.IrqFdRequest request = new() { Fd = (uint)eventFd, Gsi = gsi, Flags = flags };
        Check(Libc.ioctl(fd, KvmAbi.IrqFd, &request), "cannot connect an interrupt", "KVM_IRQFD");
    }

    private static void Check(int result, string what, string call)
    {
        if (result < 0) throw Failed(what, call, "Run 'microvm doctor'");
    }

    internal static MicroVmException Failed(string what, string call, string remedy) =>
        MicroVmException.Refused(FailureKind.Host, what, call, Libc.Errno, remedy);

    public void Dispose()
    {
        if (_vfio >= 0) _ = Libc.close(_vfio);
        _vfio = -1;
        _ = Libc.close(fd);
    }
}
