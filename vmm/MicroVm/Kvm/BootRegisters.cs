using MicroVm.Boot;

namespace MicroVm.Kvm;

/// <summary>What a vCPU needs before its first instruction, beside its CPUID.</summary>
internal static class BootRegisters
{
    // Intel SDM volume 4: IA32_MISC_ENABLE with fast strings, and MTRRs on with write-back as the default type.
    private const uint MiscEnable = 0x1a0, MtrrDefaultType = 0x2ff;
    private const ulong FastStrings = 1, MtrrEnable = 1 << 11, WriteBack = 6;

    /// <summary>Sets the model-specific registers that firmware would have set; on every vCPU.</summary>
    internal static void SetMsrs(KvmVcpu vcpu) => vcpu.SetMsrs(
    [
        new KvmAbi.MsrEntry { Index = MiscEnable, Data = FastStrings },
        new KvmAbi.MsrEntry { Index = MtrrDefaultType, Data = MtrrEnable | WriteBack },
    ]);

    /// <summary>Puts the first vCPU at the kernel's entry. The others wait for their start-up message in KVM.</summary>
    internal static void Enter(KvmVcpu vcpu, in BootState state)
    {
        KvmAbi.SystemRegisters s = vcpu.SystemRegisters;
        s.Cs = Segment(state.Code);
        s.Ds = s.Es = s.Fs = s.Gs = s.Ss = Segment(state.Data);
        s.Tr = Segment(state.Task);
        s.Gdt = new KvmAbi.DescriptorTable { Base = state.GdtBase, Limit = state.GdtLimit };
        s.Cr0 = (ulong)state.Cr0;
        s.Cr3 = state.Cr3;
        s.Cr4 = (ulong)state.Cr4;
        s.Efer = (ulong)state.Efer;
        vcpu.SystemRegisters = s;
        vcpu.Registers = new KvmAbi.Registers { Rip = state.InstructionPointer, Rbx = state.Rbx, Rsi = state.Rsi, Rflags = BootState.Flags };
    }

    private static KvmAbi.Segment Segment(in SegmentState s) => new()
    {
        Limit = s.Limit,
        Selector = s.Selector,
        Type = (byte)s.Type,
        Present = 1,
        S = Bit(!s.System),
        L = Bit(s.Long),
        Db = Bit(s.Wide),
        G = Bit(s.Granular),
    };

    private static byte Bit(bool set) => set ? (byte)1 : (byte)0;
}
