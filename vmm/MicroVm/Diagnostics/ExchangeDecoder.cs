using Iced.Intel;

namespace MicroVm.Diagnostics;

/// <summary>Decodes the opcodes 90 to 97: NOP, PAUSE and XCHG with the accumulator (Intel SDM volume 2, NOP, PAUSE, XCHG).</summary>
/// <remarks>Iced's own handler of these holds an array of codes, and an array keeps the names of all 4,900 of them, 0.18 MB
/// (docs/decisions/0004). The binary is without that handler, so what it leaves empty is filled in here.</remarks>
internal static class ExchangeDecoder
{
    private const byte OperandSize = 0x66;

    /// <summary>Fills in an instruction that the decoder knows the length of and nothing else.</summary>
    /// <param name="instruction">What the decoder made of it; left as it is if it is another.</param>
    /// <param name="bytes">The bytes of the instruction.</param>
    internal static void Complete(ref Instruction instruction, ReadOnlySpan<byte> bytes)
    {
        if (instruction.Code != Code.INVALID || bytes.IsEmpty || (bytes[^1] & 0xf8) != 0x90) return;
        ReadOnlySpan<byte> prefixes = bytes[..^1];
        if (prefixes is [.., 0x62 or 0x8f or 0xc4 or 0xc5]) return; // The second byte of a vector instruction.
        if (bytes[^1] == 0x90 && instruction.HasRepePrefix)
        {
            instruction.Code = Code.Pause;
            instruction.HasRepePrefix = false;
            return;
        }
        int rex = instruction.CodeSize == CodeSize.Code64 && prefixes is [.., >= 0x40 and <= 0x4f] ? prefixes[^1] : 0;
        bool large = instruction.CodeSize != CodeSize.Code16 ^ prefixes.Contains(OperandSize);
        (Code nop, Code exchange, Register accumulator) = (rex & 8) != 0 ? (Code.Nopq, Code.Xchg_r64_RAX, Register.RAX)
            : large ? (Code.Nopd, Code.Xchg_r32_EAX, Register.EAX) : (Code.Nopw, Code.Xchg_r16_AX, Register.AX);
        int number = bytes[^1] & 7 | (rex & 1) << 3;
        instruction.Code = number == 0 ? nop : exchange;
        if (number == 0) return;
        instruction.Op0Register = accumulator + number; // The sixteen registers of a width follow each other.
        instruction.Op1Register = accumulator;
    }
}
