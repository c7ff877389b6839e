using System.Buffers.Binary;
using System.Text;
using MicroVm.Acpi;
using MicroVm.Boot;
using MicroVm.Memory;

namespace MicroVm.Diagnostics.Explain;

/// <summary>The ACPI tables as they lie in guest memory now. The guest may have written over them: each is copied once and the copy read; whatever is there is shown, and nothing outside of memory is read.</summary>
internal static class AcpiPicture
{
    private const int MaxTables = 32, HeaderBytes = 36, LengthAt = 4, RevisionAt = 8, XsdtAt = 24, XDsdtAt = 140;
    // Of one table, and of all: a guest can point to one table many times.
    private const uint MaxTableBytes = 1 << 20, MaxBytes = 2 << 20;

    internal static void Add(List<Section> picture, GuestMemory memory)
    {
        Section tables = new("acpi", "table", "guest", "bytes", "revision", "checksum", "declaredIn");
        AcpiFields fields = new();
        AcpiObjects objects = new();
        foreach ((string signature, ulong address, byte[] bytes) in List(memory))
        {
            tables.Add(signature, Section.Hex(address), bytes.Length, bytes[signature == RootPointer ? 15 : RevisionAt], Sum(bytes) == 0 ? "good" : "bad", fields.FileOf(signature) ?? objects.FileOf(signature));
            fields.Decode(signature, bytes);
            objects.Find(signature, bytes);
        }
        picture.AddRange([tables, fields.Rows, objects.Rows]);
    }

    /// <summary>The tables of AML whole, in hexadecimal digits, for those who disassemble them: all that are not of a
    /// fixed layout, whatever the guest made of them.</summary>
    internal static List<Section> Aml(GuestMemory memory)
    {
        Section tables = new(AmlSection, "table", AmlDigits);
        AcpiFields fields = new();
        foreach ((string signature, _, byte[] bytes) in List(memory))
        {
            if (fields.FileOf(signature) is null) tables.Add(signature, Convert.ToHexString(bytes));
        }
        return [tables];
    }

    /// <summary>The tables that the guest finds from the root pointer, this one first; at most 32, and 2 MiB.</summary>
    internal static List<(string Signature, ulong Address, byte[] Bytes)> List(GuestMemory memory)
    {
        List<(string, ulong, byte[])> found = [];
        byte[] root = new byte[RsdpTable.Size];
        if (!TryCopy(memory, BootLayout.Acpi, root)) return found;
        found.Add((RootPointer, BootLayout.Acpi, root));
        if (Add(found, memory, BinaryPrimitives.ReadUInt64LittleEndian(root.AsSpan(XsdtAt))) is not { } pointers) return found;
        for (int at = HeaderBytes; at + 8 <= pointers.Length && found.Count < MaxTables; at += 8)
        {
            byte[]? bytes = Add(found, memory, BinaryPrimitives.ReadUInt64LittleEndian(pointers.AsSpan(at)));
            // FADT: the DSDT hangs from it and not from the XSDT (ACPI 6.5, 5.2.9, X_DSDT).
            if (bytes is { Length: >= XDsdtAt + 8 } && bytes.AsSpan().StartsWith("FACP"u8)) Add(found, memory, BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(XDsdtAt)));
        }
        return found;
    }

    private const string RootPointer = "RSD PTR";

    /// <summary>The section of <see cref="Aml"/>, and its column of digits.</summary>
    internal const string AmlSection = "aml", AmlDigits = "hex";

    private static byte[]? Add(List<(string, ulong, byte[])> found, GuestMemory memory, ulong address)
    {
        if (!memory.TryRead(address + LengthAt, out uint length) || length is < HeaderBytes or > MaxTableBytes) return null;
        long before = 0;
        foreach ((_, _, byte[] other) in found) before += other.Length;
        if (before + length > MaxBytes) return null;
        byte[] bytes = new byte[length];
        if (!TryCopy(memory, address, bytes)) return null;
        found.Add((Text(bytes.AsSpan(0, 4)), address, bytes));
        return bytes;
    }

    /// <summary>Characters that can be printed; others as dots.</summary>
    internal static string Text(ReadOnlySpan<byte> bytes)
    {
        StringBuilder text = new();
        foreach (byte b in bytes) text.Append(b is >= 0x20 and < 0x7f ? (char)b : '.');
        return text.ToString().TrimEnd(' ');
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes) sum += b;
        return sum;
    }

    private static bool TryCopy(GuestMemory memory, ulong address, Span<byte> into)
    {
        if (!memory.TryRange(address, (ulong)into.Length, out HostRange range)) return false;
        range.Span.CopyTo(into);
        return true;
    }
}
