namespace MicroVm.Boot.Unpack;

/// <summary>Decodes LZMA straight into the place where it is wanted: what was written is the dictionary, so that none is kept beside it.</summary>
/// <remarks>LZMA specification (lzma-specification.txt of the LZMA SDK); names are those of the specification. Why it is ours: docs/decisions/0012.</remarks>
internal sealed class LzmaDecoder
{
    private const int States = 12, PosStates = 16, LiteralSize = 0x300, AlignBits = 4, PosSlots = 64, EndPosModel = 14, FullDistances = 128, MinMatch = 2;

    private readonly ushort[] _isMatch = new ushort[States * PosStates];
    private readonly ushort[] _isRep = new ushort[States];
    private readonly ushort[] _isRepG0 = new ushort[States];
    private readonly ushort[] _isRepG1 = new ushort[States];
    private readonly ushort[] _isRepG2 = new ushort[States];
    private readonly ushort[] _isRep0Long = new ushort[States * PosStates];
    private readonly ushort[] _posSlot = new ushort[4 * PosSlots];
    private readonly ushort[] _posSpecial = new ushort[1 + FullDistances - EndPosModel];
    private readonly ushort[] _align = new ushort[1 << AlignBits];
    private readonly Lengths _matchLengths = new(), _repLengths = new();
    private ushort[] _literal = [];
    private int _literalContext, _literalPosMask, _posMask, _state;
    private uint _rep0, _rep1, _rep2, _rep3;

    /// <summary>Takes new properties: (pb * 5 + lp) * 9 + lc.</summary>
    /// <exception cref="InvalidDataException">They are out of range.</exception>
    internal void SetProperties(byte properties)
    {
        if (properties >= 9 * 5 * 5) throw new InvalidDataException($"the lzma properties are 0x{properties:x}");
        _literalContext = properties % 9;
        int literalPos = properties / 9 % 5;
        _literalPosMask = (1 << literalPos) - 1;
        _posMask = (1 << properties / 45) - 1;
        int size = LiteralSize << _literalContext + literalPos;
        if (_literal.Length != size) _literal = new ushort[size];
    }

    /// <summary>Forgets what was learnt.</summary>
    internal void Reset()
    {
        foreach (ushort[] p in (ReadOnlySpan<ushort[]>)[_isMatch, _isRep, _isRepG0, _isRepG1, _isRepG2, _isRep0Long, _posSlot, _posSpecial, _align, _literal])
            p.AsSpan().Fill(RangeDecoder.Even);
        _matchLengths.Reset();
        _repLengths.Reset();
        _state = 0;
        _rep0 = _rep1 = _rep2 = _rep3 = 0;
    }

    /// <summary>Decodes symbols until <paramref name="end"/> is reached or an end mark comes.</summary>
    /// <param name="range">Input.</param>
    /// <param name="into">Everything since the dictionary was reset, and room behind it.</param>
    /// <param name="at">Where to go on.</param>
    /// <param name="end">Where to stop.</param>
    /// <param name="marked">There must be an end mark: go on for it at the end.</param>
    /// <returns>Where it ended.</returns>
    /// <exception cref="InvalidDataException">The data is damaged; damage also shows as <see cref="IndexOutOfRangeException"/>.</exception>
    internal int Decode(ref RangeDecoder range, Span<byte> into, int at, int end, bool marked)
    {
        into = into[..end];
        while (at < end || marked)
        {
            int posState = at & _posMask;
            if (range.Bit(ref _isMatch[_state * PosStates + posState]) == 0)
            {
                into[at] = Literal(ref range, into, at);
                at++;
                continue;
            }
            int length = range.Bit(ref _isRep[_state]) == 0 ? Match(ref range, posState) : Repeat(ref range, posState);
            if (_rep0 == uint.MaxValue) return marked || at == end ? at : throw Damaged(at);
            if (_rep0 >= (uint)at || length > end - at) throw Damaged(at);
            Copy(into, at, (int)_rep0 + 1, length);
            at += length;
        }
        return at;
    }

    private byte Literal(ref RangeDecoder range, ReadOnlySpan<byte> into, int at)
    {
        int before = at > 0 ? into[at - 1] : 0;
        int context = ((at & _literalPosMask) << _literalContext) + (before >> 8 - _literalContext);
        Span<ushort> p = _literal.AsSpan(LiteralSize * context, LiteralSize);
        uint symbol = 1;
        if (_state >= 7)
        {
            uint match = into[at - (int)_rep0 - 1];
            while (symbol < 0x100)
            {
                uint expected = match >> 7 & 1;
                match <<= 1;
                uint bit = range.Bit(ref p[(int)((1 + expected << 8) + symbol)]);
                symbol = symbol << 1 | bit;
                if (bit != expected) break;
            }
        }
        while (symbol < 0x100) symbol = symbol << 1 | range.Bit(ref p[(int)symbol]);
        _state = _state < 4 ? 0 : _state < 10 ? _state - 3 : _state - 6;
        return (byte)symbol;
    }

    private int Match(ref RangeDecoder range, int posState)
    {
        (_rep3, _rep2, _rep1) = (_rep2, _rep1, _rep0);
        int length = _matchLengths.Decode(ref range, posState);
        _state = _state < 7 ? 7 : 10;
        _rep0 = Distance(ref range, Math.Min(length, 3));
        return length + MinMatch;
    }

    private int Repeat(ref RangeDecoder range, int posState)
    {
        if (range.Bit(ref _isRepG0[_state]) == 0)
        {
            if (range.Bit(ref _isRep0Long[_state * PosStates + posState]) == 0)
            {
                _state = _state < 7 ? 9 : 11;
                return 1;
            }
        }
        else if (range.Bit(ref _isRepG1[_state]) == 0) (_rep0, _rep1) = (_rep1, _rep0);
        else if (range.Bit(ref _isRepG2[_state]) == 0) (_rep0, _rep1, _rep2) = (_rep2, _rep0, _rep1);
        else (_rep0, _rep1, _rep2, _rep3) = (_rep3, _rep0, _rep1, _rep2);
        int length = _repLengths.Decode(ref range, posState);
        _state = _state < 7 ? 8 : 11;
        return length + MinMatch;
    }

    private uint Distance(ref RangeDecoder range, int lengthState)
    {
        uint slot = range.Tree(_posSlot.AsSpan(lengthState * PosSlots, PosSlots), 6);
        if (slot < 4) return slot;
        int bits = (int)(slot >> 1) - 1;
        uint distance = (2 | slot & 1) << bits;
        if (slot < EndPosModel) return distance + range.ReverseTree(_posSpecial.AsSpan((int)(distance - slot)), bits);
        distance += range.Direct(bits - AlignBits) << AlignBits;
        return distance + range.ReverseTree(_align, AlignBits);
    }

    private static void Copy(Span<byte> into, int at, int distance, int length)
    {
        Span<byte> target = into.Slice(at, length);
        if (distance >= length) into.Slice(at - distance, length).CopyTo(target);
        else if (distance == 1) target.Fill(into[at - 1]);
        else
            for (int i = 0; i < length; i++) target[i] = into[at - distance + i];
    }

    private static InvalidDataException Damaged(int at) => new($"lzma data is damaged at {at}");

    /// <summary>Lengths of matches, less the least: short ones by position, long ones not.</summary>
    private sealed class Lengths
    {
        private readonly ushort[] _choice = new ushort[2];
        private readonly ushort[] _low = new ushort[PosStates * 8];
        private readonly ushort[] _middle = new ushort[PosStates * 8];
        private readonly ushort[] _high = new ushort[256];

        internal void Reset()
        {
            foreach (ushort[] p in (ReadOnlySpan<ushort[]>)[_choice, _low, _middle, _high]) p.AsSpan().Fill(RangeDecoder.Even);
        }

        internal int Decode(ref RangeDecoder range, int posState)
        {
            if (range.Bit(ref _choice[0]) == 0) return (int)range.Tree(_low.AsSpan(posState * 8, 8), 3);
            if (range.Bit(ref _choice[1]) == 0) return 8 + (int)range.Tree(_middle.AsSpan(posState * 8, 8), 3);
            return 16 + (int)range.Tree(_high, 8);
        }
    }
}
