using System.Globalization;
using System.Text;
using Iced.Intel;
using MicroVm.Bus;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Diagnostics;

/// <summary>What a person needs after a guest died: registers, the code around the instruction pointer, the last accesses by name.</summary>
internal static class CrashReport
{
    private const int CodeBytes = 48;

    /// <summary>Writes the report on the vCPU's own thread, outside the guest.</summary>
    internal static string Write(KvmVcpu vcpu, string why, GuestMemory memory, AccessTrace trace, AccessFormatter formatter)
    {
        StringBuilder text = new();
        text.AppendLine(CultureInfo.InvariantCulture, $"vcpu{vcpu.Id}: {why}");
        try
        {
            AppendRegisters(text, vcpu, memory);
        }
        catch (MicroVmException e)
        {
            // A machine that KVM has given up answers nothing any more; why the guest ended counts more than that.
            text.AppendLine(CultureInfo.InvariantCulture, $"no registers ({e.Where})");
        }
        AppendAccesses(text, trace, formatter);
        return text.ToString();
    }

    private static void AppendRegisters(StringBuilder text, KvmVcpu vcpu, GuestMemory memory)
    {
        KvmAbi.Registers r = vcpu.Registers;
        KvmAbi.SystemRegisters s = vcpu.SystemRegisters;
        // SVM leaves nothing defined after a shutdown, so that KVM resets the vCPU before this process hears of it.
        bool reset = IsReset(r, s);
        if (reset) text.AppendLine("registers after INIT: on AMD processors KVM resets the vCPU, and the guest's registers are lost");
        text.AppendLine(CultureInfo.InvariantCulture, $"rip {r.Rip:x16} rsp {r.Rsp:x16} rbp {r.Rbp:x16} rflags {r.Rflags:x8}");
        text.AppendLine(CultureInfo.InvariantCulture, $"rax {r.Rax:x16} rbx {r.Rbx:x16} rcx {r.Rcx:x16} rdx {r.Rdx:x16}");
        text.AppendLine(CultureInfo.InvariantCulture, $"rsi {r.Rsi:x16} rdi {r.Rdi:x16} r8  {r.R8:x16} r9  {r.R9:x16}");
        text.AppendLine(CultureInfo.InvariantCulture, $"r10 {r.R10:x16} r11 {r.R11:x16} r12 {r.R12:x16} r13 {r.R13:x16}");
        text.AppendLine(CultureInfo.InvariantCulture, $"r14 {r.R14:x16} r15 {r.R15:x16}");
        text.AppendLine(CultureInfo.InvariantCulture, $"cr0 {s.Cr0:x8} cr2 {s.Cr2:x16} cr3 {s.Cr3:x16} cr4 {s.Cr4:x8} efer {s.Efer:x}");
        text.AppendLine(CultureInfo.InvariantCulture, $"cs {s.Cs.Selector:x4} base {s.Cs.Base:x} limit {s.Cs.Limit:x}  gdt {s.Gdt.Base:x}/{s.Gdt.Limit:x}  idt {s.Idt.Base:x}/{s.Idt.Limit:x}");
        if (!reset) AppendCode(text, vcpu, s, r.Rip, memory);
    }

    // Where a processor begins after INIT (Intel SDM 3, 10.1.4; AMD APM 2, 14.1.5).
    private static bool IsReset(in KvmAbi.Registers r, in KvmAbi.SystemRegisters s) =>
        r.Rip == 0xfff0 && s.Cs.Base == 0xffff_0000 && (s.Cr0 & 1) == 0;

    private static void AppendCode(StringBuilder text, KvmVcpu vcpu, in KvmAbi.SystemRegisters s, ulong rip, GuestMemory memory)
    {
        Span<byte> code = stackalloc byte[CodeBytes];
        int length = ReadCode(vcpu, s.Cs.Base + rip, memory, code);
        if (length == 0)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"code: rip 0x{rip:x} is not mapped to RAM");
            return;
        }
        int bits = s.Cs.L != 0 ? 64 : s.Cs.Db != 0 ? 32 : 16;
        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(bits, new ByteArrayCodeReader(code[..length].ToArray()), rip);
        MasmFormatter formatter = new();
        StringOutput output = new();
        text.AppendLine("code:");
        while (decoder.IP - rip < (ulong)length)
        {
            int at = (int)(decoder.IP - rip);
            Instruction instruction = decoder.Decode();
            if (decoder.LastError != DecoderError.None) break;
            ExchangeDecoder.Complete(ref instruction, code.Slice(at, instruction.Length));
            formatter.Format(instruction, output);
            text.AppendLine(CultureInfo.InvariantCulture, $"{(instruction.IP == rip ? "=>" : "  ")} {instruction.IP:x16}  {output.ToStringAndReset()}");
        }
    }

    // Page by page, as the next page may be elsewhere, or nowhere.
    private static int ReadCode(KvmVcpu vcpu, ulong linear, GuestMemory memory, Span<byte> code)
    {
        int done = 0;
        while (done < code.Length)
        {
            ulong at = linear + (ulong)done;
            int chunk = (int)Math.Min((ulong)(code.Length - done), GuestMemory.PageSize - at % GuestMemory.PageSize);
            if (!vcpu.TryTranslate(at, out ulong physical) || !memory.TryRange(physical, (ulong)chunk, out HostRange range)) break;
            range.Span.CopyTo(code[done..]);
            done += chunk;
        }
        return done;
    }

    private static void AppendAccesses(StringBuilder text, AccessTrace trace, AccessFormatter formatter)
    {
        AccessTrace.Access[] accesses = trace.Recent();
        text.AppendLine(CultureInfo.InvariantCulture, $"last {accesses.Length} accesses, oldest first:");
        foreach (AccessTrace.Access access in accesses)
        {
            text.Append("  ");
            formatter.Append(text, access, formatter.RegisterOf(access));
            text.AppendLine();
        }
    }
}
