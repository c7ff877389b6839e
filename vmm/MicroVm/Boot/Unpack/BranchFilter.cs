using System.Buffers.Binary;

namespace MicroVm.Boot.Unpack;

/// <summary>Undoes xz's x86 filter, which makes the targets of calls and jumps absolute so that they repeat.</summary>
/// <remarks>The format is defined by its implementation, liblzma's simple/x86.c. A branch is converted when the high byte of its displacement is 0 or 255 and the bytes before it
/// do not make it look like part of another branch; <c>mask</c> remembers which of the three bytes before were opcodes.</remarks>
internal static class BranchFilter
{
    private const int Length = 5;

    /// <summary>Converts a whole block in place.</summary>
    internal static void Decode(Span<byte> code)
    {
        uint mask = 0;
        int previous = -Length;
        for (int at = Next(code, 0); at >= 0 && at + Length <= code.Length; at = Next(code, at))
        {
            int distance = at - previous;
            mask = distance > 3 ? 0 : mask << (distance - 1) & 7;
            previous = at;
            if (mask != 0 && !Allowed(code, at, mask) || !IsSign(code[at + 4]))
            {
                mask = mask << 1 | 1;
                at++;
                continue;
            }
            Convert(code[(at + 1)..], (uint)(at + Length), mask);
            at += Length;
        }
    }

    private static void Convert(Span<byte> at, uint next, uint mask)
    {
        uint source = BinaryPrimitives.ReadUInt32LittleEndian(at), target;
        while (true)
        {
            target = source - next;
            if (mask == 0) break;
            int bit = Bit(mask) * 8;
            if (!IsSign((byte)(target >> (24 - bit)))) break;
            source = target ^ ((1u << (32 - bit)) - 1);
        }
        target &= 0x01ff_ffff;
        BinaryPrimitives.WriteUInt32LittleEndian(at, target | 0u - (target & 0x0100_0000));
    }

    private static bool Allowed(ReadOnlySpan<byte> code, int at, uint mask) => mask is 0 or 1 or 2 or 4 && !IsSign(code[at + 4 - Bit(mask)]);

    private static int Bit(uint mask) => mask switch { 0 => 0, 1 => 1, 2 or 3 => 2, _ => 3 };

    private static bool IsSign(byte b) => b is 0 or 0xff;

    private static int Next(ReadOnlySpan<byte> code, int from)
    {
        if (from >= code.Length) return -1;
        int n = code[from..].IndexOfAny((byte)0xe8, (byte)0xe9);
        return n < 0 ? -1 : from + n;
    }
}
