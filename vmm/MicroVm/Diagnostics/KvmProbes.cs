using MicroVm.Kvm;

namespace MicroVm.Diagnostics;

/// <summary>KVM itself, and what a machine needs of it.</summary>
internal static class KvmProbes
{
    private const string Group = "KVM";

    internal static readonly DoctorProbe[] All =
    [
        new("kvm-device", Group, Needed: true, Device),
        new("kvm-api", Group, Needed: true, Api),
        new("stock-guests", Group, Needed: false, StockGuests),
        Cap("split-irqchip", KvmAbi.CapSplitIrqchip, "interrupt controller of the CPUs in the kernel, the I/O APIC here"),
        Cap("irqfd", KvmAbi.CapIrqFd, "interrupts by eventfd"),
        Cap("ioeventfd", KvmAbi.CapIoEventFd, "doorbells by eventfd"),
        Cap("readonly-memory", KvmAbi.CapReadonlyMemory, "register reads without an exit"),
        Cap("immediate-exit", KvmAbi.CapImmediateExit, "a running guest can be stopped without a race"),
        Cap("x2apic-api", KvmAbi.CapX2ApicApi, "interrupts to more than 255 APIC IDs", needed: false),
        Cap("tsc-deadline", KvmAbi.CapTscDeadlineTimer, "timer of the guest's CPUs, no PIT needed", needed: false),
        new("max-vcpus", Group, Needed: false, MaxVcpus),
        new("memory-slots", Group, Needed: false, MemorySlots),
    ];

    /// <summary>The processor's virtualisation is there for this kernel: stock guests run at speed.</summary>
    internal static bool HasHardware(DoctorHost host) => Extension(host) is not null && !host.HasModule("kvm_pvm");

    private static string? Extension(DoctorHost host)
    {
        string flags = " " + host.Field("/proc/cpuinfo", "flags") + " ";
        return flags.Contains(" vmx ", StringComparison.Ordinal) ? "VMX" : flags.Contains(" svm ", StringComparison.Ordinal) ? "SVM" : null;
    }

    private static DoctorFinding Device(DoctorHost host) => host.KvmFailure is { } failure
        ? DoctorFinding.Missing($"{failure.What}, {failure.Where}", failure.Remedy)
        : DoctorFinding.Ok($"{KvmSystem.DevicePath} opens");

    private static DoctorFinding Api(DoctorHost host) => host.KvmApiVersion switch
    {
        KvmAbi.ApiVersion => DoctorFinding.Ok("version 12, the only one in use", "12"),
        0 => DoctorFinding.Missing("no answer without KVM", "See kvm-device"),
        int other => DoctorFinding.Missing($"version {other}; only 12 is in use since Linux 2.6.22", "Boot another kernel", $"{other}"),
    };

    private static DoctorFinding StockGuests(DoctorHost host)
    {
        if (host.KvmFailure is not null) return DoctorFinding.Missing("no guest at all without KVM", "See kvm-device");
        if (host.HasModule("kvm_pvm"))
        {
            return DoctorFinding.Missing("paravirtual KVM (kvm_pvm): a stock kernel is interpreted, 1-3 us an instruction, and takes minutes to boot",
                "Use a host with VMX or SVM, a virtual machine with nested virtualisation, or the lab (tests/lab/lab); tiny guests run here", "pvm");
        }
        return Extension(host) is { } extension
            ? DoctorFinding.Ok($"hardware virtualisation ({extension}{Nested(host)}) runs them at speed", extension.ToLowerInvariant())
            : DoctorFinding.Missing("KVM is there, but the processor shows neither VMX nor SVM: stock guests would be interpreted or fail",
                "Turn on virtualisation in the firmware, or nested virtualisation in the hypervisor below");
    }

    private static string Nested(DoctorHost host) =>
        (" " + host.Field("/proc/cpuinfo", "flags") + " ").Contains(" hypervisor ", StringComparison.Ordinal) ? ", nested: exits cost more" : "";

    private static DoctorProbe Cap(string name, int number, string meaning, bool needed = true) => new(name, Group, needed, host =>
        host.Capability(number) > 0 ? DoctorFinding.Ok(meaning)
        : DoctorFinding.Missing($"not offered: {meaning}", host.KvmFailure is null ? "Boot Linux 5.10 or later" : "See kvm-device"));

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
