using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Vfio;

/// <summary>The assigned devices of a machine: their groups, and the guest's memory in the IOMMU, each page at its guest address (IOVA = GPA), and nothing else.</summary>
/// <remarks>One container holds all groups, unless the guest has an IOMMU of its own: then each group has a container, for each device may have a domain of its own.</remarks>
internal sealed class VfioHost : IDisposable, IMemoryListener
{
    private readonly HostPci _pci;
    private readonly bool _apart;
    private readonly List<VfioContainer> _containers = [];
    private readonly Dictionary<int, VfioGroup> _groups = [];
    private readonly List<(HostFunction Function, VfioDeviceFile Device)> _devices = [];

    private ulong _mapped;
    private GuestMemory? _memory;

    private VfioHost(HostPci pci, bool apart) => (_pci, _apart) = (pci, apart);

    /// <summary>The devices in the order in which they were asked for.</summary>
    internal IReadOnlyList<(HostFunction Function, VfioDeviceFile Device)> Devices => _devices;

    /// <summary>All that the devices can reach now.</summary>
    internal VfioMapping[] Mappings => [.. _containers.SelectMany(static c => c.Mappings)];

    /// <summary>Opens the devices. Their groups' DMA reaches nothing yet.</summary>
    /// <param name="texts">The devices: <see cref="DeviceRequest"/>.</param>
    /// <param name="unsafeInterrupts">Also on a host that has said that it goes without interrupt remapping.</param>
    /// <param name="apart">Each device in an address space of its own.</param>
    /// <exception cref="MicroVmException">One cannot be assigned; the message says why and what to do.</exception>
    internal static VfioHost Open(IReadOnlyList<string> texts, bool unsafeInterrupts, bool apart)
    {
        HostPci pci = new("");
        DeviceRequest[] requests = [.. texts.Select(DeviceRequest.Parse)];
        HostFunction[] functions = [.. requests.Select(r => pci.Find(r.Address))];
        VfioRefusals.Check(pci, functions, unsafeInterrupts);
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
    /// <exception cref="MicroVmException">The host does not pin that much.</exception>
    internal void Map(GuestMemory memory)
    {
        memory.Listen(this);
        _memory = memory;
    }

    /// <inheritdoc/>
    public void Added(in MemoryRegion part)
    {
        // The guest's own IOMMU says by then what its devices reach, and knows nothing of memory that came later.
        if (_apart && _memory is not null) throw MicroVmException.Usage("memory cannot come while the guest's own IOMMU contains an assigned device", $"0x{part.GuestAddress:x}", "Start the machine without --iommu");
        foreach (VfioContainer container in _containers)
        {
            int error = container.Map(part.GuestAddress, part.Length, part.HostAddress);
            if (error != 0) throw VfioRefusals.NotMapped(part.GuestAddress, part.Length, (_mapped + part.Length) * (ulong)_containers.Count, error);
        }
        _mapped += part.Length;
    }

    /// <inheritdoc/>
    public void Removed(in MemoryRegion part)
    {
        if (_apart) return;
        // Where it was not mapped, because the host refused it, there is nothing to take away.
        foreach (VfioContainer container in _containers) _ = container.Unmap(part.GuestAddress, part.Length);
        _mapped -= Math.Min(_mapped, part.Length);
    }

    /// <summary>The address space of a device that is apart from the others.</summary>
    /// <param name="index">Of the device.</param>
    internal VfioContainer ContainerOf(int index) => _containers[index];

    /// <summary>Closes devices, then groups, then the container, which ends the mappings.</summary>
    public void Dispose()
    {
        _memory?.Unlisten(this);
        foreach ((_, VfioDeviceFile device) in _devices) device.Dispose();
        foreach (VfioGroup group in _groups.Values) group.Dispose();
        foreach (VfioContainer container in _containers) container.Dispose();
    }

    private void Add(HostFunction function, DeviceRequest request)
    {
        VfioGroup group = Group(function, request);
        VfioDeviceFile device = group.TryOpenDevice(function.Address, out int error) ?? throw VfioRefusals.NoDevice(function, error);
        _devices.Add((function, device));
        if (!device.IsPci) throw VfioRefusals.NoDevice(function, Libc.ENODEV);
    }

    private VfioGroup Group(HostFunction function, DeviceRequest request)
    {
        int number = function.Group!.Value;
        if (_groups.TryGetValue(number, out VfioGroup? known)) return known;
        string path = $"/dev/vfio/{number}";
        int error;
        VfioGroup group = request.Group is { } given ? VfioGroup.TryTake(given, out error) ?? throw VfioRefusals.NotOpen("group", given, error)
            : VfioGroup.TryOpen(path, out error) ?? throw VfioRefusals.NoGroup(function, path, error);
        _groups.Add(number, group);
        if (!group.IsViable) throw VfioRefusals.NotViable(function, _pci.Group(number));
        bool first = _apart || _containers.Count == 0;
        VfioContainer container = first ? AddContainer(request) : _containers[0];
        error = container.Attach(group);
        if (error == 0 && first) error = container.SetIommu();
        return error == 0 ? group : throw VfioRefusals.NoIommu(function, error);
    }

    private VfioContainer AddContainer(DeviceRequest request)
    {
        int error;
        VfioContainer container = request.Container is { } given ? VfioContainer.TryTake(given, out error) ?? throw VfioRefusals.NotOpen("container", given, error)
            : VfioContainer.TryOpen(out error) ?? throw VfioRefusals.NoContainer(error);
        _containers.Add(container);
        return container.IsUsable ? container : throw VfioRefusals.NoType1();
    }
}
