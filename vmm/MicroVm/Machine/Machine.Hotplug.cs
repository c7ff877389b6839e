using MicroVm.Hotplug;
using MicroVm.Pci;
using MicroVm.Vfio;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;

namespace MicroVm;

/// <summary>What may change while the guest runs.</summary>
public sealed partial class Machine
{
    /// <summary>How long the guest may take to answer where nothing else is said.</summary>
    public static readonly TimeSpan GuestTime = TimeSpan.FromSeconds(10);

    // One change at a time; Dispose takes it too.
    private readonly Lock _changing = new();

    /// <summary>Plugs a virtio device into a free PCI slot (<see cref="VirtioOptions.RootPort"/> chooses one) and waits until the guest has taken it. From any thread that is not the guest's.</summary>
    /// <param name="device">As for <see cref="MachineOptions.Virtio"/>; with an <see cref="VirtioOptions.Id"/> that no device has.</param>
    /// <param name="limit">How long the guest may take; <see cref="GuestTime"/> if null.</param>
    /// <exception cref="MicroVmException">It cannot be: no slot, a name that is taken, a file that cannot be opened. <see cref="GuestRefusedException"/>: the guest refused, and it is out again; or has not answered
    /// (<see cref="GuestRefusedException.Status"/> is null), and it stays plugged in.</exception>
    public DeviceInfo Add(VirtioOptions device, TimeSpan? limit = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        lock (_changing)
        {
            PciSlots slots = Slots();
            CheckName(device.Id);
            return Describe(slots.Add(device, limit ?? GuestTime));
        }
    }

    /// <summary>Gives the guest a PCI function of the host in a free slot, and waits until the guest has taken it. Its group must have no other device in a machine.
    /// When the host wants it back, the guest is asked for it.</summary>
    /// <param name="device">Its address on the host, <c>0000:00:03.0</c>, which is its name too; bound to <c>vfio-pci</c>. What may stand behind it: <see cref="MachineOptions.Devices"/>.</param>
    /// <param name="limit">How long the guest may take; <see cref="GuestTime"/> if null.</param>
    /// <exception cref="MicroVmException">As with <see cref="Add"/>, or it cannot be assigned.</exception>
    public DeviceInfo Assign(string device, TimeSpan? limit = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        string address = DeviceRequest.Parse(device).Address;
        lock (_changing)
        {
            PciSlots slots = Slots();
            MemoryRoom.CheckAssigned(_parts, address);
            if (Find(address) is not null) throw MicroVmException.Usage("a device is assigned twice", $"--device {address}", "Give it once");
            return Describe(slots.Assign(device, limit ?? GuestTime));
        }
    }

    /// <summary>Plugs a DIMM in and waits until the guest has taken it. The guest decides what it is used for (Linux: <c>/sys/devices/system/memory/auto_online_blocks</c>).</summary>
    /// <param name="bytes">Its size, a multiple of 128 MiB.</param>
    /// <param name="id">Its name, which no other device has; null for <c>dimm0</c> and so on.</param>
    /// <param name="limit">How long the guest may take; <see cref="GuestTime"/> if null.</param>
    /// <exception cref="MicroVmException">The machine cannot have it (<see cref="MachineOptions.PossibleMemoryBytes"/>), or the host has not that much. <see cref="GuestRefusedException"/>: as with <see cref="Add"/>.</exception>
    public DeviceInfo AddMemory(ulong bytes, string? id = null, TimeSpan? limit = null)
    {
        lock (_changing)
        {
            CheckRunning();
            MemoryUnits dimms = _parts.Dimms ?? throw MicroVmException.Usage("the memory of this machine stays", $"--memory {bytes >> 20}M", "Start it with --max-memory SIZE");
            CheckName(id);
            for (int n = 0; id is null; n++) id = IsTaken($"dimm{n}") ? null : $"dimm{n}";
            return Describe(dimms.Add(bytes, id, limit ?? GuestTime));
        }
    }

    /// <summary>Asks the guest to give a device or a DIMM back, and waits until it is out: its files are closed, its pages the host's.</summary>
    /// <param name="device">Its <see cref="DeviceInfo.Id"/> or <see cref="DeviceInfo.Place"/>.</param>
    /// <param name="limit">How long the guest may take; <see cref="GuestTime"/> if null.</param>
    /// <exception cref="MicroVmException">There is no such device, or it is in no slot. <see cref="GuestRefusedException"/>: the guest refused or has not answered; the device stays.</exception>
    public void Remove(string device, TimeSpan? limit = null)
    {
        lock (_changing)
        {
            CheckRunning();
            if (_parts.Dimms is { } dimms)
            {
                if (FindDimm(device) is { } dimm)
                {
                    dimms.Remove(dimm, limit ?? GuestTime);
                    return;
                }
                _ = Found(device);
            }
            Slots().Remove(Found(device), device, limit ?? GuestTime);
        }
    }

    /// <summary>Takes a device out without asking, as if its card were pulled: what the guest has not written is lost. The guest is told.</summary>
    /// <param name="device">Its <see cref="DeviceInfo.Id"/> or <see cref="DeviceInfo.Place"/>.</param>
    /// <exception cref="MicroVmException">There is no such device, or it is in no slot.</exception>
    public void Pull(string device)
    {
        lock (_changing)
        {
            if (FindDimm(device) is not null) throw MicroVmException.Usage("memory is not pulled: the guest would lose what lies in it", device, "Ask the guest for it, without --force");
            Slots().Pull(Found(device), device);
        }
    }

    /// <summary>Gives the guest CPUs, or asks it for some back, one after the other; the first stays. The guest decides when it uses a new one (Linux: <c>/sys/devices/system/cpu/cpuN/online</c>).</summary>
    /// <param name="cpus">How many there shall be, 1 to <see cref="PossibleCpus"/>.</param>
    /// <param name="limit">How long the guest may take for all of them; <see cref="GuestTime"/> if null.</param>
    /// <exception cref="MicroVmException">There may not be that many, or the host has none. <see cref="GuestRefusedException"/>: the guest refused one or has not answered; those before it have come or gone.</exception>
    public void ResizeCpus(int cpus, TimeSpan? limit = null)
    {
        lock (_changing)
        {
            CheckRunning();
            CpuUnits units = _parts.Cpus ?? throw MicroVmException.Usage("the number of CPUs of this machine stays", $"--cpus {cpus}", "Start it with --max-cpus N");
            units.Resize(cpus, limit ?? GuestTime);
        }
    }

    private PciSlots Slots()
    {
        CheckRunning();
        return _parts.Slots ?? throw MicroVmException.Usage("nothing can be plugged in or out", "the machine has no root ports", "Start it with --pci-ports N");
    }

    private void CheckRunning()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_started == 0 || _parts.End.Requested) throw MicroVmException.Usage("the guest does not run", "a change while it runs", _started == 0 ? "Give it in the options" : "Start another machine");
    }

    private void CheckName(string? id)
    {
        if (id is not null && IsTaken(id)) throw MicroVmException.Usage("two devices have one name", $"id={id}", "Give each its own");
    }

    private bool IsTaken(string id) => Find(id) is not null || FindDimm(id) is not null;

    private Dimm? FindDimm(string device)
    {
        foreach (Dimm dimm in _parts.Dimms?.Present ?? [])
        {
            if (dimm.Id == device || Describe(dimm).Place == device) return dimm;
        }
        return null;
    }

    private static DeviceInfo Describe(Dimm dimm) => new(dimm.Id, $"dimm {dimm.Bytes >> 20}M", $"0x{dimm.Start:x}");

    private PciFunction Found(string device) => Find(device) ?? throw MicroVmException.Usage("there is no such device in a PCI slot", device, "'microvm ctl NAME list' shows them");

    private PciFunction? Find(string device) => Array.Find(_parts.Pci?.Root.Functions ?? [], f => IdOf(f) == device || f.Address.ToString() == device);

    private static DeviceInfo Describe(PciFunction function) => function switch
    {
        VirtioPciFunction virtio => Describe(virtio.Common.Core.Device, function.Name, function.Address.ToString()),
        VfioFunction vfio => new DeviceInfo(vfio.HostAddress, function.Name, function.Address.ToString())
        {
            Host = vfio.HostAddress, Backend = vfio.Way,
        },
        _ => new DeviceInfo(null, function.Name, function.Address.ToString()),
    };

    private static DeviceInfo Describe(VirtioDevice device, string kind, string place) =>
        new(device.Id, kind, place) { Host = device.Host.What, Backend = device.Host.How, Thread = device.Host.Thread };

    private static string? IdOf(PciFunction function) => function switch
    {
        VirtioPciFunction virtio => virtio.Common.Core.Device.Id,
        VfioFunction vfio => vfio.HostAddress,
        _ => null,
    };
}
