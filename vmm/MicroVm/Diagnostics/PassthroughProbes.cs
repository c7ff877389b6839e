namespace MicroVm.Diagnostics;

/// <summary>What assigning a device of the host to a guest needs.</summary>
internal static class PassthroughProbes
{
    private const string Group = "Passthrough";
    private const string GroupsPath = "/sys/kernel/iommu_groups", VfioPath = "/dev/vfio/vfio", IommufdPath = "/dev/iommu", ClassPath = "/sys/class/vfio-dev", CdevPath = "/dev/vfio/devices", Type1 = "vfio_iommu_type1";

    internal static readonly DoctorProbe[] All =
    [
        new("iommu", Group, Needed: false, Iommu),
        new("vfio", Group, Needed: false, Vfio),
        new("vfio-modules", Group, Needed: false, Modules),
        new("iommufd", Group, Needed: false, Iommufd),
        new("interrupt-remapping", Group, Needed: false, UnsafeInterrupts),
    ];

    /// <summary>A device could be assigned here.</summary>
    internal static bool Possible(DoctorHost host) => host.CountEntries(GroupsPath) > 0 && (host.Exists(VfioPath) || host.Exists(IommufdPath));

    private static DoctorFinding Iommu(DoctorHost host)
    {
        int groups = host.CountEntries(GroupsPath);
        return groups > 0
            ? DoctorFinding.Ok($"{groups} groups: a device's DMA stays inside its guest", $"{groups}")
            : DoctorFinding.Missing("no IOMMU group: a device's DMA could not be contained, so none is assigned",
                "Turn on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on where the kernel leaves it off", "0");
    }

    private static DoctorFinding Vfio(DoctorHost host) => host.Exists(VfioPath)
        ? DoctorFinding.Ok($"{VfioPath} is there")
        : DoctorFinding.Missing($"no {VfioPath}", "modprobe vfio");

    private static DoctorFinding Modules(DoctorHost host)
    {
        bool pci = host.HasModule("vfio_pci"), type1 = host.HasModule(Type1);
        if (pci && type1) return DoctorFinding.Ok($"vfio_pci and {Type1} are loaded");
        string missing = (pci, type1) switch { (false, false) => $"vfio-pci {Type1}", (false, true) => "vfio-pci", _ => Type1 };
        return DoctorFinding.Missing($"not loaded: {missing}", $"modprobe -a {missing}");
    }

    // The kernel makes the files of devices alone when a driver for passthrough has them: whether it does at all is seen by then.
    private static DoctorFinding Iommufd(DoctorHost host)
    {
        if (!host.Exists(IommufdPath))
        {
            return DoctorFinding.Missing($"no {IommufdPath}: devices are assigned by their groups", "modprobe iommufd, where the kernel has it (CONFIG_IOMMUFD; none of Debian 12's has)");
        }
        int bound = host.CountEntries(ClassPath), cdevs = host.CountEntries(CdevPath);
        return bound > 0 && cdevs == 0
            ? DoctorFinding.Warn($"{IommufdPath} is there, but no file for a device alone: devices are assigned by their groups", "Boot a kernel with CONFIG_VFIO_DEVICE_CDEV", "0")
            : DoctorFinding.Ok($"{IommufdPath} is there, and {cdevs} devices in {CdevPath}", $"{cdevs}");
    }

    private static DoctorFinding UnsafeInterrupts(DoctorHost host)
    {
        string? value = null;
        foreach (string module in new[] { Type1, "iommufd" })
        {
            string? setting = host.Line($"/sys/module/{module}/parameters/allow_unsafe_interrupts");
            if (setting == "Y") return DoctorFinding.Warn($"allow_unsafe_interrupts of {module} is on: an assigned device could send any interrupt to the host", $"Load {module} without it, on a host with interrupt remapping", setting);
            value ??= setting;
        }
        return DoctorFinding.Ok("demanded of an IOMMU before a device is assigned", value);
    }
}
