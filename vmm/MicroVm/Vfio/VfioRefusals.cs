using MicroVm.Diagnostics;
using MicroVm.Kvm;

namespace MicroVm.Vfio;

/// <summary>Why a device cannot be assigned, in plain words.</summary>
internal static class VfioRefusals
{
    // Drivers under which a group stays whole: they do no DMA for the host.
    private static readonly string[] Harmless = [HostPci.VfioDriver, "pci-stub", "pcieport"];

    /// <summary>What can be known before anything is opened.</summary>
    internal static void Check(HostPci pci, HostFunction[] functions)
    {
        foreach (HostFunction function in functions)
        {
            if (functions.Count(f => f.Address == function.Address) > 1) throw MicroVmException.Usage("a device is assigned twice", $"--device {function.Address}", "Give it once");
            if (function.Group is null) throw NoIommuGroup(function);
            if (!function.IsOnVfio)
            {
                string has = function.Driver is null ? "no driver has it" : $"it is bound to {function.Driver}";
                throw MicroVmException.Host("the device is not free for a guest", $"{function.Address}: {has}", $"microvm vfio bind {function.Address}");
            }
            if (pci.NoIommuGroup(function.Group.Value)) throw NoIommuGroup(function);
        }
    }

    /// <summary>Refuses a host that has been told to go without interrupt remapping.</summary>
    /// <param name="pci">The host.</param>
    /// <param name="iommufd">The device is opened through iommufd.</param>
    internal static void CheckInterrupts(HostPci pci, bool iommufd)
    {
        string module = Module(iommufd), path = $"/sys/module/{module}/parameters/allow_unsafe_interrupts";
        if (pci.Line(path) != "Y") return;
        throw MicroVmException.Host("a guest could send the host any interrupt through an assigned device", $"{path} is Y",
            $"Load {module} without allow_unsafe_interrupts, on a host with interrupt remapping; --unsafe-interrupts goes on all the same, for guests that are trusted");
    }

    /// <summary>With an IOMMU in the guest each device has an address space of its own, which devices of one group cannot have.</summary>
    internal static void CheckApart(HostFunction[] functions)
    {
        foreach (HostFunction function in functions)
        {
            if (Array.Find(functions, f => f.Group == function.Group && f.Address != function.Address) is not { } other) continue;
            throw MicroVmException.Usage("the guest's IOMMU could not keep two assigned devices apart", $"{function.Address} and {other.Address} are in group {function.Group} of the host's", "Assign one of them, or leave out --iommu");
        }
    }

    internal static MicroVmException NotOpen(string what, int fd, int error) =>
        MicroVmException.NotOpen(what, fd, error, "Open it before this program is started and let it be inherited");

    internal static MicroVmException NoContainer(int error) => MicroVmException.Refused(FailureKind.Host, "cannot assign devices", VfioContainer.DevicePath, error, error switch
    {
        Libc.ENOENT or Libc.ENODEV => "modprobe -a vfio-pci vfio_iommu_type1",
        Libc.EACCES or Libc.EPERM => "Run as root, or give this user the file",
        _ => "The kernel's log says more (dmesg)",
    });

    internal static MicroVmException NoType1() =>
        MicroVmException.Host("cannot assign devices", $"{VfioContainer.DevicePath}: no IOMMU of type 1", "modprobe vfio_iommu_type1");

    internal static MicroVmException NoIommufd(int error) => MicroVmException.Refused(FailureKind.Host, "cannot assign devices through iommufd", IommufdSpace.DevicePath, error, error switch
    {
        Libc.ENOENT or Libc.ENODEV => "modprobe iommufd, where the kernel has it (CONFIG_IOMMUFD, from Linux 6.2 on); iommufd=off does without",
        Libc.EACCES or Libc.EPERM => $"Run as root, or give this user the file: chown USER {IommufdSpace.DevicePath}",
        _ => "The kernel's log says more (dmesg)",
    });

    /// <summary>The kernel has made no file for the device alone.</summary>
    internal static MicroVmException NoCdev(HostFunction function) => MicroVmException.Host($"cannot assign {function.Address} through iommufd", "the kernel has no file for the device alone in /dev/vfio/devices",
        "Boot a kernel with CONFIG_VFIO_DEVICE_CDEV (from Linux 6.6 on); iommufd=off assigns it by its group");

    internal static MicroVmException NoCdev(HostFunction function, int error) => MicroVmException.Refused(FailureKind.Host, $"cannot assign {function.Address}", function.Cdev!, error, error switch
    {
        Libc.EACCES or Libc.EPERM => $"Run as root, or give this user the file: chown USER {function.Cdev}",
        _ => "The kernel's log says more (dmesg)",
    });

    /// <summary>VFIO_DEVICE_BIND_IOMMUFD was refused. One error number stands for a group that another has and for interrupts that are not checked: of a device that is alone in its group it is the second.</summary>
    internal static MicroVmException NotBound(HostFunction function, IReadOnlyList<HostFunction> group, int error) => error switch
    {
        Libc.EPERM when group.Count == 1 => NoRemapping(function, iommufd: true),
        Libc.EPERM or Libc.EBUSY when group.Any(static f => IsHosts(f)) => NotViable(function, group),
        Libc.EPERM or Libc.EBUSY or Libc.EINVAL => MicroVmException.Refused(FailureKind.Host, $"cannot assign {function.Address}", function.Cdev ?? "its file", error, "Another machine has it, or a device of its group: end that first; a descriptor serves one machine"),
        _ => MicroVmException.Refused(FailureKind.Host, $"cannot assign {function.Address}", function.Cdev ?? "its file", error, "The kernel's log says more (dmesg)"),
    };

    internal static MicroVmException NoGroup(HostFunction function, string path, int error) => MicroVmException.Refused(FailureKind.Host, $"cannot assign {function.Address}", path, error, error switch
    {
        Libc.EBUSY => "Another machine has a device of this group: end it first",
        Libc.EACCES or Libc.EPERM => $"Run as root, or give this user the file: chown USER {path}",
        _ => $"microvm vfio bind {function.Address}",
    });

    internal static MicroVmException NotViable(HostFunction function, IReadOnlyList<HostFunction> group)
    {
        HostFunction[] others = [.. group.Where(static f => IsHosts(f))];
        string list = others.Length == 0 ? "a device of it is in use" : string.Join(", ", others.Select(static f => $"{f.Address} is bound to {f.Driver}"));
        string remedy = others.Length == 0 ? "'microvm vfio list' shows the group" : string.Join("; ", others.Select(static f => $"microvm vfio bind {f.Address}"));
        return MicroVmException.Host($"the IOMMU cannot tell {function.Address} from other devices of group {function.Group}, and the host uses one", list, remedy);
    }

    internal static MicroVmException NoIommu(HostFunction function, int error) => error == Libc.EPERM ? NoRemapping(function, iommufd: false)
        : NoAddressSpace(function, error);

    internal static MicroVmException NoAddressSpace(HostFunction function, int error) =>
        MicroVmException.Refused(FailureKind.Host, $"cannot give group {function.Group} an IOMMU", function.Address, error, "The kernel's log says more (dmesg)");

    internal static MicroVmException NoDevice(HostFunction function, int error) =>
        MicroVmException.Refused(FailureKind.Host, "cannot open the device", function.Address, error, "The kernel's log says more (dmesg)");

    internal static MicroVmException NotMapped(ulong address, ulong length, ulong total, int error)
    {
        if (error != Libc.ENOMEM) return MicroVmException.Refused(FailureKind.Host, "cannot let the device reach the guest's memory", $"0x{address:x} to 0x{address + length - 1:x}", error, "The kernel's log says more (dmesg)");
        return MicroVmException.Host($"cannot pin the guest's {total >> 20} MiB for the device", $"this process may lock {LockLimit()}", $"Raise the limit: ulimit -l {(total >> 10) + 1024}, or run as root");
    }

    private static string Module(bool iommufd) => iommufd ? "iommufd" : "vfio_iommu_type1";

    private static bool IsHosts(HostFunction function) => function.Driver is { } driver && !Harmless.Contains(driver);

    private static MicroVmException NoRemapping(HostFunction function, bool iommufd) => MicroVmException.Host("the host's IOMMU does not check interrupts (no interrupt remapping)", function.Address,
        $"Turn it on in the firmware; for guests that are trusted load {Module(iommufd)} with allow_unsafe_interrupts=1 and give --unsafe-interrupts");

    private static MicroVmException NoIommuGroup(HostFunction function) => MicroVmException.Host("nothing would contain the device's DMA: it could overwrite the host", $"{function.Address} is behind no IOMMU",
        "Turn on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on where the kernel leaves it off");

    private static string LockLimit()
    {
        // "Max locked memory  8388608  8388608  bytes"
        foreach (string line in (HostText.TryRead("/proc/self/limits") ?? "").Split('\n'))
        {
            if (!line.StartsWith("Max locked memory", StringComparison.Ordinal)) continue;
            string[] words = line["Max locked memory".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return words.Length > 0 && ulong.TryParse(words[0], out ulong bytes) ? $"{bytes >> 10} KiB" : "as much as it likes";
        }
        return "an unknown amount";
    }
}
