using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Vfio;

/// <summary>An assigned device that is open.</summary>
/// <param name="Function">What the host calls it.</param>
/// <param name="Device">The hardware.</param>
/// <param name="Space">What its DMA reaches.</param>
internal readonly record struct AssignedDevice(HostFunction Function, VfioDeviceFile Device, IoAddressSpace Space);

/// <summary>The assigned devices of a machine, and the guest's memory in the IOMMU, each page at its guest address (IOVA = GPA), and nothing else.</summary>
/// <remarks>One I/O address space holds all that are opened in one way, by their groups or by files of their own (docs/decisions/0062); unless the guest has an IOMMU of its own:
/// then each has one, for each may have a domain of its own.</remarks>
internal sealed class VfioHost : IDisposable, IMemoryListener
{
    private readonly HostPci _pci;
    private readonly bool _apart;
    private readonly List<IoAddressSpace> _spaces = [];
    private readonly Dictionary<int, (VfioGroup Group, VfioContainer Space)> _groups = [];
    private readonly List<AssignedDevice> _devices = [];

    private ulong _mapped;
    private GuestMemory? _memory;

    private VfioHost(HostPci pci, bool apart) => (_pci, _apart) = (pci, apart);

    /// <summary>The devices in the order in which they were asked for.</summary>
    internal IReadOnlyList<AssignedDevice> Devices => _devices;

    /// <summary>Their I/O address spaces.</summary>
    internal IReadOnlyList<IoAddressSpace> Spaces => _spaces;

    /// <summary>All that the devices can reach now.</summary>
    internal VfioMapping[] Mappings => [.. _spaces.SelectMany(static s => s.Mappings)];

    /// <summary>Opens the devices. Their DMA reaches nothing yet.</summary>
    /// <param name="texts">The devices: <see cref="DeviceRequest"/>.</param>
    /// <param name="unsafeInterrupts">Also on a host that has said that it goes without interrupt remapping.</param>
    /// <param name="apart">Each device in an address space of its own.</param>
    /// <exception cref="MicroVmException">One cannot be assigned; the message says why and what to do.</exception>
    internal static VfioHost Open(IReadOnlyList<string> texts, bool unsafeInterrupts, bool apart)
    {
        HostPci pci = new("");
        DeviceRequest[] requests = [.. texts.Select(DeviceRequest.Parse)];
        HostFunction[] functions = [.. requests.Select(r => pci.Find(r.Address))];
        VfioRefusals.Check(pci, functions);
        for (int i = 0; i < functions.Length && !unsafeInterrupts; i++) VfioRefusals.CheckInterrupts(pci, requests[i].UsesIommufd(pci, functions[i]));
        if (apart) VfioRefusals.CheckApart(functions);
        VfioHost host = new(pci, apart);
        try
        {
            for (int i = 0; i < functions.Length; i++) host.Add(functions[i], requests[i]);
            return host;
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }

    /// <summary>Lets the devices reach the guest's memory: its regions, all of them, and no more, now and when some comes or goes. Its pages are made and pinned, so this comes after the guest's image is in place.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="vm">Is told of the devices.</param>
    /// <exception cref="MicroVmException">The host does not pin that much.</exception>
    internal void Map(GuestMemory memory, KvmVm vm)
    {
        // By the files of groups, and of devices that are open without theirs.
        foreach ((VfioGroup group, _) in _groups.Values) group.Join(vm);
        foreach (AssignedDevice device in _devices)
        {
            if (device.Space is IommufdSpace) device.Device.Join(vm);
        }
        memory.Listen(this);
        _memory = memory;
    }

    /// <inheritdoc/>
    public void Added(in MemoryRegion part)
    {
        // The guest's own IOMMU says by then what its devices reach, and knows nothing of memory that came later.
        if (_apart && _memory is not null) throw MicroVmException.Usage("memory cannot come while the guest's own IOMMU contains an assigned device", $"0x{part.GuestAddress:x}", "Start the machine without --iommu");
        foreach (IoAddressSpace space in _spaces)
        {
            int error = space.Map(part.GuestAddress, part.Length, part.HostAddress);
            if (error != 0) throw VfioRefusals.NotMapped(part.GuestAddress, part.Length, (_mapped + part.Length) * (ulong)_spaces.Count, error);
        }
        _mapped += part.Length;
    }

    /// <inheritdoc/>
    public void Removed(in MemoryRegion part)
    {
        if (_apart) return;
        // Where it was not mapped, because the host refused it, there is nothing to take away.
        foreach (IoAddressSpace space in _spaces) _ = space.Unmap(part.GuestAddress, part.Length);
        _mapped -= Math.Min(_mapped, part.Length);
    }

    /// <summary>Closes devices, then groups, then the address spaces, which ends the mappings.</summary>
    public void Dispose()
    {
        _memory?.Unlisten(this);
        foreach (AssignedDevice device in _devices) device.Device.Dispose();
        foreach ((VfioGroup group, _) in _groups.Values) group.Dispose();
        foreach (IoAddressSpace space in _spaces) space.Dispose();
    }

    private void Add(HostFunction function, DeviceRequest request)
    {
        AssignedDevice opened = request.UsesIommufd(_pci, function) ? OpenCdev(function, request) : OpenOfGroup(function, request);
        _devices.Add(opened);
        if (!opened.Device.IsPci) throw VfioRefusals.NoDevice(function, Libc.ENODEV);
    }

    private AssignedDevice OpenOfGroup(HostFunction function, DeviceRequest request)
    {
        int number = function.Group!.Value;
        if (!_groups.TryGetValue(number, out (VfioGroup Group, VfioContainer Space) known)) _groups.Add(number, known = OpenGroup(function, number, request));
        return new AssignedDevice(function, known.Group.TryOpenDevice(function.Address, out int error) ?? throw VfioRefusals.NoDevice(function, error), known.Space);
    }

    private AssignedDevice OpenCdev(HostFunction function, DeviceRequest request)
    {
        HostFile file = request.Cdev is null && function.Cdev is null ? throw VfioRefusals.NoCdev(function)
            : Open("cdev", function.Cdev ?? "", request.Cdev, error => VfioRefusals.NoCdev(function, error));
        try
        {
            IommufdSpace space = Shared<IommufdSpace>() ?? AddIommufd(request);
            int error = space.Bind(file);
            if (error != 0) throw VfioRefusals.NotBound(function, _pci.Group(function.Group!.Value), error);
            error = space.Attach(file);
            return error == 0 ? new AssignedDevice(function, new VfioDeviceFile(file, attached: true), space) : throw VfioRefusals.NoAddressSpace(function, error);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private (VfioGroup, VfioContainer) OpenGroup(HostFunction function, int number, DeviceRequest request)
    {
        string path = $"/dev/vfio/{number}";
        VfioGroup group = new(Open("group", path, request.Group, error => VfioRefusals.NoGroup(function, path, error)));
        try
        {
            if (!group.IsViable) throw VfioRefusals.NotViable(function, _pci.Group(number));
            VfioContainer? shared = Shared<VfioContainer>();
            VfioContainer container = shared ?? AddContainer(request);
            int error = container.Attach(group);
            if (error == 0 && shared is null) error = container.SetIommu();
            return error == 0 ? (group, container) : throw VfioRefusals.NoIommu(function, error);
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    private T? Shared<T>() where T : IoAddressSpace => _apart ? null : (T?)_spaces.Find(static s => s is T);

    private VfioContainer AddContainer(DeviceRequest request)
    {
        VfioContainer container = new(Open("container", VfioContainer.DevicePath, request.Container, VfioRefusals.NoContainer));
        _spaces.Add(container);
        return container.IsUsable ? container : throw VfioRefusals.NoType1();
    }

    private IommufdSpace AddIommufd(DeviceRequest request)
    {
        HostFile file = Open("iommufd", IommufdSpace.DevicePath, request.Iommufd, VfioRefusals.NoIommufd);
        IommufdSpace? space = IommufdSpace.TryCreate(file, out int error);
        if (space is null) file.Dispose();
        _spaces.Add(space ?? throw VfioRefusals.NoIommufd(error));
        return space;
    }

    private static HostFile Open(string name, string path, int? given, Func<int, MicroVmException> refused)
    {
        int error;
        return given is { } fd ? HostFile.TryDuplicate(fd, out error) ?? throw VfioRefusals.NotOpen(name, fd, error)
            : HostFile.TryOpen(path, Libc.O_RDWR, out error) ?? throw refused(error);
    }
}
