using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Vfio;

/// <summary>The assigned devices of a machine: one container, the groups, and the guest's memory in the IOMMU, each page at its guest address (IOVA = GPA), and nothing else.</summary>
internal sealed class VfioHost : IDisposable
{
    private readonly HostPci _pci;
    private readonly VfioContainer _container;
    private readonly Dictionary<int, VfioGroup> _groups = [];
    private readonly List<(HostFunction Function, VfioDeviceFile Device)> _devices = [];

    private VfioHost(HostPci pci, VfioContainer container) => (_pci, _container) = (pci, container);

    /// <summary>The devices in the order in which they were asked for.</summary>
    internal IReadOnlyList<(HostFunction Function, VfioDeviceFile Device)> Devices => _devices;

    /// <summary>One of them has an interrupt line.</summary>
    internal bool HasLine => _devices.Exists(static d => d.Device.InterruptCount(VfioAbi.IrqIndex.Intx, out _) > 0);

    /// <summary>Opens the devices. Their groups' DMA reaches nothing yet.</summary>
    /// <param name="addresses">PCI addresses on the host.</param>
    /// <param name="unsafeInterrupts">Also on a host that has said that it goes without interrupt remapping.</param>
    /// <exception cref="MicroVmException">One cannot be assigned; the message says why and what to do.</exception>
    internal static VfioHost Open(IReadOnlyList<string> addresses, bool unsafeInterrupts)
    {
        HostPci pci = new("");
        HostFunction[] functions = [.. addresses.Select(pci.Find)];
        VfioRefusals.Check(pci, functions, unsafeInterrupts);
        VfioContainer container = VfioContainer.TryOpen(out int error) ?? throw VfioRefusals.NoContainer(error);
        VfioHost host = new(pci, container);
        try
        {
            if (!container.IsUsable) throw VfioRefusals.NoType1();
            foreach (HostFunction function in functions) host.Add(function);
            return host;
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }

    /// <summary>Lets the devices reach the guest's memory: its regions, all of them, and no more. Its pages are made and pinned, so this comes after the guest's image is in place.</summary>
    /// <exception cref="MicroVmException">The host does not pin that much.</exception>
    internal void Map(GuestMemory memory)
    {
        foreach (MemoryRegion region in memory.Regions)
        {
            int error = _container.Map(region.GuestAddress, region.Length, region.HostAddress);
            if (error != 0) throw VfioRefusals.NotMapped(region.GuestAddress, region.Length, memory.Size, error);
        }
    }

    /// <summary>Closes devices, then groups, then the container, which ends the mappings.</summary>
    public void Dispose()
    {
        foreach ((_, VfioDeviceFile device) in _devices) device.Dispose();
        foreach (VfioGroup group in _groups.Values) group.Dispose();
        _container.Dispose();
    }

    private void Add(HostFunction function)
    {
        VfioGroup group = Group(function);
        VfioDeviceFile device = group.TryOpenDevice(function.Address, out int error) ?? throw VfioRefusals.NoDevice(function, error);
        _devices.Add((function, device));
        if (!device.IsPci) throw VfioRefusals.NoDevice(function, Libc.ENODEV);
    }

    private VfioGroup Group(HostFunction function)
    {
        int number = function.Group!.Value;
        if (_groups.TryGetValue(number, out VfioGroup? known)) return known;
        string path = $"/dev/vfio/{number}";
        VfioGroup group = VfioGroup.TryOpen(path, out int error) ?? throw VfioRefusals.NoGroup(function, path, error);
        bool first = _groups.Count == 0;
        _groups.Add(number, group);
        if (!group.IsViable) throw VfioRefusals.NotViable(function, _pci.Group(number));
        error = _container.Attach(group);
        if (error == 0 && first) error = _container.SetIommu();
        return error == 0 ? group : throw VfioRefusals.NoIommu(function, error);
    }
}
