using MicroVm.Kvm;

namespace MicroVm.Vfio;

/// <summary>One write to sysfs.</summary>
/// <param name="Path">File.</param>
/// <param name="Text">What is written; a line break alone clears the file.</param>
internal sealed record SysfsWrite(string Path, string Text)
{
    public override string ToString() => Text == "\n" ? $"echo > {Path}" : $"echo {Text} > {Path}";
}

/// <summary>Takes a device from its driver for passthrough, and gives it back: <c>driver_override</c>, then the driver's <c>unbind</c>, then a probe.</summary>
internal sealed class VfioBinding(HostPci pci, HostMounts mounts)
{
    private const string Probe = "/sys/bus/pci/drivers_probe", NotGivenAway = "this device is not given away";

    /// <summary>What to write to give a function to <c>vfio-pci</c>; empty if it has it.</summary>
    /// <exception cref="MicroVmException">The host needs the function itself, or could not contain it.</exception>
    internal IReadOnlyList<SysfsWrite> PlanBind(HostFunction function)
    {
        Refuse(function);
        if (function.IsOnVfio) return [];
        if (!pci.HasDriver(HostPci.VfioDriver)) throw MicroVmException.Host("the driver for passthrough is not loaded", HostPci.VfioDriver, "modprobe -a vfio-pci vfio_iommu_type1");
        return Move(function, HostPci.VfioDriver);
    }

    /// <summary>What to write to give a function back to the driver that the kernel finds for it; empty if passthrough does not have it.</summary>
    internal static IReadOnlyList<SysfsWrite> PlanUnbind(HostFunction function) => function.IsOnVfio || function.Driver is null ? Move(function, "\n") : [];

    /// <summary>Writes it, and says what has the function then.</summary>
    /// <exception cref="MicroVmException">The kernel refused a write.</exception>
    internal HostFunction Apply(HostFunction function, IReadOnlyList<SysfsWrite> plan)
    {
        foreach (SysfsWrite write in plan)
        {
            int error = pci.Write(write.Path, write.Text);
            if (error == 0) continue;
            string remedy = error switch
            {
                Libc.EACCES or Libc.EPERM => "Run it as root",
                Libc.EBUSY => "A process uses the device: end it first",
                _ => "The kernel's log says more (dmesg)",
            };
            throw MicroVmException.Host($"cannot rebind {function.Address}", $"{write.Path}: {Libc.Describe(error)}", remedy);
        }
        return pci.Find(function.Address);
    }

    /// <summary>Checks after <see cref="PlanBind"/> was applied.</summary>
    internal static void CheckBound(HostFunction function)
    {
        if (!function.IsOnVfio) throw MicroVmException.Host($"the kernel did not give {function.Address} to {HostPci.VfioDriver}", $"it is bound to {function.Driver ?? "nothing"}", "The kernel's log says why (dmesg)");
    }

    private void Refuse(HostFunction function)
    {
        if (function.IsBridge) throw Refused(function, "it is a bridge, the way to other devices", "Assign a device behind it");
        if (function.IsBootDisplay) throw Refused(function, "the host's display is on it", "Boot the host on another display");
        if (mounts.UseOf(function.Address) is { } use)
        {
            string what = use == "/" ? "the host's root file system is on it" : $"the host uses it for {use}";
            throw Refused(function, what, use == "/" ? "Assign another disk" : use.StartsWith('/') ? $"Unmount it first: umount {use}" : "Switch it off first: swapoff -a");
        }
        // As with 'run --device': the host lacks it, the words are right.
        if (function.Group is null) throw MicroVmException.Host(
            NotGivenAway, $"{function.Address}: no IOMMU would contain its DMA",
            "Turn on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on where the kernel leaves it off");
    }

    private static MicroVmException Refused(HostFunction function, string why, string remedy) =>
        MicroVmException.Usage(NotGivenAway, $"{function.Address}: {why}", remedy);

    private static List<SysfsWrite> Move(HostFunction function, string driver)
    {
        List<SysfsWrite> plan = [new($"{HostPci.PathOf(function.Address)}/driver_override", driver)];
        if (function.Driver is { } old) plan.Add(new($"{HostPci.PathOfDriver(old)}/unbind", function.Address));
        plan.Add(new(Probe, function.Address));
        return plan;
    }
}
