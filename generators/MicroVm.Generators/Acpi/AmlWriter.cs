namespace MicroVm.Generators.Acpi;

/// <summary>AML under construction: bytes, and the slots and source lines in them.</summary>
internal sealed class AmlWriter
{
    private readonly List<byte> _bytes = [];

    public List<SlotModel> Slots { get; } = [];

    public List<(int Offset, int Line)> Marks { get; } = [];

    public int Length => _bytes.Count;

    public byte[] ToArray() => [.. _bytes];

    public void Byte(int value) => _bytes.Add((byte)value);

    public void Raw(byte[] bytes) => _bytes.AddRange(bytes);

    public void Number(ulong value, int width)
    {
        for (int i = 0; i < width; i++) _bytes.Add((byte)(value >> (8 * i)));
    }

    public void Ascii(string text)
    {
        foreach (char c in text) _bytes.Add((byte)c);
    }

    /// <summary>An integer with its prefix. Zero and one get no opcodes of their own, so that a value never changes a length by accident.</summary>
    public void Integer(ulong value)
    {
        (int prefix, int width) = value switch { <= 0xFF => (0x0A, 1), <= 0xFFFF => (0x0B, 2), <= 0xFFFF_FFFF => (0x0C, 4), _ => (0x0E, 8) };
        Byte(prefix);
        Number(value, width);
    }

    public void Slot(int width, bool hexDigits, string param, int line)
    {
        Slots.Add(new SlotModel(Length, width, hexDigits, param, line));
        for (int i = 0; i < width; i++) _bytes.Add(hexDigits ? (byte)'0' : (byte)0);
    }

    public void Mark(int line) => Marks.Add((Length, line));

    /// <summary>Length as AML codes it (ACPI 6.5, 20.2.4). For a package it counts its own bytes; for a field it does not.</summary>
    public void PackageLength(int content, bool countsItself)
    {
        int bytes = 1;
        while (bytes < 4 && content + (countsItself ? bytes : 0) > Limit(bytes)) bytes++;
        int value = content + (countsItself ? bytes : 0);
        if (bytes == 1) { Byte(value); return; }
        Byte((bytes - 1) << 6 | value & 0xF);
        for (int i = 0; i < bytes - 1; i++) Byte(value >> (4 + 8 * i));
    }

    private static int Limit(int bytes) => bytes == 1 ? 0x3F : (1 << (4 + 8 * (bytes - 1))) - 1;

    /// <summary>Appends <paramref name="content"/> behind its length.</summary>
    public void Package(AmlWriter content)
    {
        PackageLength(content.Length, countsItself: true);
        Append(content);
    }

    public void Append(AmlWriter other)
    {
        int shift = Length;
        _bytes.AddRange(other._bytes);
        foreach (SlotModel slot in other.Slots) Slots.Add(slot with { Offset = slot.Offset + shift });
        foreach ((int offset, int line) in other.Marks) Marks.Add((offset + shift, line));
    }

    public void Patch(int offset, byte value) => _bytes[offset] = value;
}
