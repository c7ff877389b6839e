using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;

namespace MicroVm.Boot;

/// <summary>What an ELF file says of itself besides its segments.</summary>
[Flags]
internal enum KernelMarks : byte
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>It is a Linux kernel.</summary>
    Linux = 1,
    /// <summary>It was linked for the calls of a system: a program.</summary>
    Program = 2,
}

/// <summary>Finds the PVH entry among the notes of a kernel, and the marks of a Linux and of a program that is no kernel.</summary>
internal static class KernelNotes
{
    /// <summary>The entry that a PT_NOTE segment names, or null if it has none.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="p">The segment.</param>
    /// <param name="marks">Gets what the notes say.</param>
    /// <exception cref="MicroVmException">The notes are not well-formed.</exception>
    internal static uint? Find(ImageBytes bytes, in Elf64Phdr p, ref KernelMarks marks)
    {
        if (!bytes.Has(p.Offset, p.FileSize)) throw bytes.Bad("p_filesz", $"0x{p.FileSize:x} at p_offset 0x{p.Offset:x} of the PT_NOTE leads outside of {bytes.Length} bytes", "It looks truncated: copy it again");
        if (p.FileSize > ElfConst.MaxNoteBytes) throw bytes.Bad("p_filesz", $"0x{p.FileSize:x} of the PT_NOTE is over {ElfConst.MaxNoteBytes} bytes");
        Span<byte> notes = p.FileSize <= 1024 ? stackalloc byte[(int)p.FileSize] : new byte[p.FileSize];
        bytes.Read(p.Offset, notes);
        int header = Unsafe.SizeOf<ElfNote>();
        uint? entry = null;
        while (notes.Length >= header)
        {
            ElfNote note = MemoryMarshal.Read<ElfNote>(notes);
            // Both lengths may be 2^32-1: sums are 64-bit.
            ulong nameEnd = (ulong)header + Padded(note.NameSize), end = nameEnd + note.DescSize;
            if (nameEnd > (ulong)notes.Length) throw bytes.Bad("n_namesz", $"{note.NameSize} leads outside of its PT_NOTE");
            if (end > (ulong)notes.Length) throw bytes.Bad("n_descsz", $"{note.DescSize} leads outside of its PT_NOTE");
            // Build salt, LTO: every Linux since 4.20 has one of them.
            if (note.NameSize == "Linux\0"u8.Length
                && notes[header..].StartsWith("Linux\0"u8)) marks |= KernelMarks.Linux;
            if (note.DescSize == ElfConst.AbiNoteSize
                && Is(note, notes[header..], ElfConst.AbiNoteType, ElfConst.AbiNoteName)) marks |= KernelMarks.Program;
            if (entry is null && Is(note, notes[header..], PvhConst.NoteType, PvhConst.NoteName))
                entry = Entry(bytes, notes[(int)nameEnd..(int)end]);
            notes = notes[(int)Math.Min(nameEnd + Padded(note.DescSize), (ulong)notes.Length)..];
        }
        return entry;
    }

    // Both are notes with names of three letters.
    private static bool Is(in ElfNote note, ReadOnlySpan<byte> name, long type, long wanted) =>
        note.Type == type && note.NameSize == sizeof(uint) && MemoryMarshal.Read<uint>(name) == wanted;

    private static uint Entry(ImageBytes bytes, ReadOnlySpan<byte> description)
    {
        ulong entry = description.Length switch
        {
            sizeof(uint) => MemoryMarshal.Read<uint>(description),
            sizeof(ulong) => MemoryMarshal.Read<ulong>(description),
            _ => throw bytes.Bad("n_descsz", $"of the PVH note is {description.Length}, not 4 or 8"),
        };
        return entry <= uint.MaxValue ? (uint)entry : throw bytes.Bad("the PVH note's entry", $"0x{entry:x} is not a 32-bit address");
    }

    private static ulong Padded(uint size) => ((ulong)size + 3) & ~3ul;
}
