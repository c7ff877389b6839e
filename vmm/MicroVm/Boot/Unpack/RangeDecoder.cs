using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace MicroVm.Boot.Unpack;

/// <summary>The range decoder of LZMA: binary decisions with probabilities that learn.</summary>
/// <remarks>LZMA specification (lzma-specification.txt of the LZMA SDK). Reading past the input throws, like any damage.</remarks>
internal ref struct RangeDecoder
{
    /// <summary>Each probability begins even: half of 2^11.</summary>
    internal const ushort Even = 1 << (ModelBits - 1);

    private const int ModelBits = 11, LearningShift = 5;
    private const uint Top = 1 << 24;

    private readonly ReadOnlySpan<byte> _input;
    private int _at;
    private uint _range;
    private uint _code;

    internal RangeDecoder(ReadOnlySpan<byte> input)
    {
        if (input[0] != 0) throw new InvalidDataException("lzma data does not begin with 0");
        _input = input;
        _code = BinaryPrimitives.ReadUInt32BigEndian(input[1..]);
        _range = uint.MaxValue;
        _at = 1 + sizeof(uint);
    }

    /// <summary>Whether everything was taken and nothing is left over, as it must be at the end.</summary>
    internal readonly bool IsFinished => _code == 0 && (_at == _input.Length || _range < Top && _at == _input.Length - 1);

    /// <summary>One decision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint Bit(ref ushort probability)
    {
        Normalize();
        uint p = probability, bound = (_range >> ModelBits) * p;
        if (_code < bound)
        {
            _range = bound;
            probability = (ushort)(p + ((1 << ModelBits) - p >> LearningShift));
            return 0;
        }
        _range -= bound;
        _code -= bound;
        probability = (ushort)(p - (p >> LearningShift));
        return 1;
    }

    /// <summary>A number of some bits, the highest first, each with the probability that belongs to the bits before it.</summary>
    internal uint Tree(Span<ushort> probabilities, int bits)
    {
        uint node = 1;
        for (int i = 0; i < bits; i++) node = node << 1 | Bit(ref probabilities[(int)node]);
        return node - (1u << bits);
    }

    /// <summary>The same with the lowest bit first.</summary>
    internal uint ReverseTree(Span<ushort> probabilities, int bits)
    {
        uint node = 1, value = 0;
        for (int i = 0; i < bits; i++)
        {
            uint bit = Bit(ref probabilities[(int)node]);
            node = node << 1 | bit;
            value |= bit << i;
        }
        return value;
    }

    /// <summary>Bits of equal probability.</summary>
    internal uint Direct(int bits)
    {
        uint value = 0;
        for (; bits > 0; bits--)
        {
            Normalize();
            _range >>= 1;
            _code -= _range;
            uint borrowed = 0u - (_code >> 31);
            _code += _range & borrowed;
            value = (value << 1) + borrowed + 1;
        }
        return value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Normalize()
    {
        if (_range >= Top) return;
        _range <<= 8;
        _code = _code << 8 | _input[_at++];
    }
}
