using MicroVm.Kvm;

namespace MicroVm.Diagnostics;

/// <summary>KVM itself, and what a machine needs of it.</summary>
internal static class KvmProbes
{
    private const string Group = "KVM";
    // What Docker and Podman put into theirs.
    private static readonly string[] s_containers = ["/.dockerenv", "/run/.containerenv"];

    internal static readonly DoctorProbe[] All =
    [
        new("kvm-device", Group, Needed: true, Device),
        new("kvm-api", Group, Needed: true, Api) { OfKvm = true },
        new("stock-guests", Group, Needed: false, StockGuests) { OfKvm = true },
        Cap("split-irqchip", KvmAbi.CapSplitIrqchip, "interrupt controller of the CPUs in the kernel, the I/O APIC here"),
        Cap("irqfd", KvmAbi.CapIrqFd, "interrupts by eventfd"),
        Cap("ioeventfd", KvmAbi.CapIoEventFd, "doorbells by eventfd"),
        Cap("readonly-memory", KvmAbi.CapReadonlyMemory, "register reads without an exit"),
        Cap("immediate-exit", KvmAbi.CapImmediateExit, "a running guest can be stopped without a race"),
        Cap("x2apic-api", KvmAbi.CapX2ApicApi, "interrupts to more than 255 APIC IDs", needed: false),
        Cap("tsc-deadline", KvmAbi.CapTscDeadlineTimer, "timer of the guest's CPUs, no PIT needed", needed: false),
        new("max-vcpus", Group, Needed: false, MaxVcpus) { OfKvm = true },
        new("memory-slots", Group, Needed: false, MemorySlots) { OfKvm = true },
    ];

    /// <summary>The processor's virtualisation is there for this kernel: stock guests run at speed.</summary>
    internal static bool HasHardware(DoctorHost host) => Extension(host) is not null && !host.HasModule("kvm_pvm");

    private static string? Extension(DoctorHost host)
    {
        string flags = " " + host.Field("/proc/cpuinfo", "flags") + " ";
        return flags.Contains(" vmx ", StringComparison.Ordinal) ? "VMX" : flags.Contains(" svm ", StringComparison.Ordinal) ? "SVM" : null;
    }

    private static DoctorFinding Device(DoctorHost host) => host.KvmFailure is { } failure
        ? DoctorFinding.Missing($"{failure.What}, {failure.Where}", failure.Remedy + Elsewhere(host))
        : DoctorFinding.Ok($"{KvmSystem.DevicePath} opens");

    private static DoctorFinding Api(DoctorHost host) => host.KvmApiVersion switch
    {
        KvmAbi.ApiVersion => DoctorFinding.Ok("version 12, the only one in use", "12"),
        int other => DoctorFinding.Missing($"version {other}; only 12 is in use since Linux 2.6.22", "Boot another kernel", $"{other}"),
    };

    private static DoctorFinding StockGuests(DoctorHost host)
    {
        if (host.HasModule("kvm_pvm"))
        {
            return DoctorFinding.Missing("paravirtual KVM (kvm_pvm): a stock kernel is interpreted, 1-3 us an instruction, and takes minutes to boot",
                "Use a host with VMX or SVM, a virtual machine with nested virtualisation, or the lab (tests/lab/lab); tiny guests run here", "pvm");
        }
        return Extension(host) is { } extension
            ? DoctorFinding.Ok(
                $"hardware virtualisation ({extension}{(IsGuest(host) ? ", nested: exits cost more" : "")}) runs them at speed", extension.ToLowerInvariant())
            : DoctorFinding.Missing("KVM is there, but the processor shows neither VMX nor SVM: stock guests would be interpreted or fail",
                "Turn on virtualisation in the firmware, or nested virtualisation in the hypervisor below");
    }

    private static bool IsGuest(DoctorHost host) =>
        (" " + host.Field("/proc/cpuinfo", "flags") + " ").Contains(" hypervisor ", StringComparison.Ordinal);

    // Where the device is missing for a reason that lies outside of what this program sees.
    private static string Elsewhere(DoctorHost host) =>
        (IsGuest(host)
            ? $". This host is a virtual machine: turn on nested virtualisation for it below (kvm_intel or kvm_amd with nested=1)" : "")
        + (Array.Exists(s_containers, host.Exists)
            ? $". This is a container: start it with --device {KvmSystem.DevicePath}"
            : $". In a container: start that with --device {KvmSystem.DevicePath}");

    private static DoctorProbe Cap(string name, int number, string meaning, bool needed = true) => new(name, Group, needed, host =>
        host.Capability(number) > 0 ? DoctorFinding.Ok(meaning)
        : DoctorFinding.Missing($"not offered: {meaning}", "Boot Linux 5.10 or later")) { OfKvm = true };

    private static DoctorFinding MaxVcpus(DoctorHost host)
    {
        int most = host.Capability(KvmAbi.CapMaxVcpus);
        return most >= MachineOptions.MaxCpus
            ? DoctorFinding.Ok($"{most} a machine; microvm takes {MachineOptions.MaxCpus}", $"{most}")
            : DoctorFinding.Warn($"{most} a machine", "Give --cpus no more than that", $"{most}");
    }

    private static DoctorFinding MemorySlots(DoctorHost host)
    {
        const int Enough = 64;
        int slots = host.Capability(KvmAbi.CapNrMemslots);
        return slots >= Enough
            ? DoctorFinding.Ok($"{slots} ranges of memory and register pages a machine", $"{slots}")
            : DoctorFinding.Warn($"{slots} ranges a machine", "Give fewer devices", $"{slots}");
    }
}
