using System.Runtime.CompilerServices;
using MicroVm.Devices;

namespace MicroVm.Boot;

/// <summary>Reads what an ELF file says about loading it. Takes 32-bit and 64-bit x86; checks each field before it is used.</summary>
/// <remarks>32-bit headers are widened to 64-bit ones at once, so that every check stands once.</remarks>
internal static class ElfReader
{
    private const string Truncated = "It looks truncated: copy it again";

    /// <summary>Whether bytes begin like an ELF file.</summary>
    internal static bool Is(ReadOnlySpan<byte> prefix) => prefix.Length >= 4 && BitConverter.ToUInt32(prefix) == ElfConst.Magic;

    /// <summary>Reads segments and entry: the PVH note's if there is one, otherwise the 64-bit entry of Linux.</summary>
    /// <exception cref="MicroVmException">The file is not a kernel that can be loaded; the message names the field.</exception>
    internal static KernelImage Read(ImageBytes bytes)
    {
        Elf64Header header = ReadHeader(bytes, out bool wide);
        Span<Elf64Phdr> loads = stackalloc Elf64Phdr[ElfConst.MaxSegments];
        int count = 0;
        uint? pvh = null;
        KernelMarks marks = KernelMarks.None;
        uint entrySize = EntrySize(wide);
        for (uint i = 0; i < header.PhNum; i++)
        {
            Elf64Phdr p = ReadProgramHeader(bytes, header.PhOffset + i * entrySize, wide);
            if (p.Type == (uint)ElfSegmentType.Note) pvh ??= KernelNotes.Find(bytes, p, ref marks);
            if (p.Type == (uint)ElfSegmentType.Interpreter) marks |= KernelMarks.Program;
            if (p.Type != (uint)ElfSegmentType.Load || p.MemSize == 0 && p.FileSize == 0) continue;
            Check(bytes, p, i);
            loads[count++] = p;
        }
        if (count == 0) throw bytes.Bad("e_phnum", "leads to no PT_LOAD segment: nothing to load");
        // Some kernels with a note (FreeBSD's) name an interpreter too.
        if (pvh is null && marks.HasFlag(KernelMarks.Program))
        {
            throw bytes.Bad("the file", "is a program for Linux, not a kernel",
                "Use a bzImage or vmlinux; User-mode Linux is a program too, and starts without microvm");
        }
        if (pvh is null && !wide) throw bytes.Bad("EI_CLASS", "is 32-bit and there is no PVH note (type 18, \"Xen\") with an entry", "Give a kernel with CONFIG_PVH, or a 64-bit one");
        return new KernelImage(pvh is null ? BootMode.Linux64 : BootMode.Pvh32, pvh ?? header.Entry,
            Segments(loads[..count])) { IsLinux = marks.HasFlag(KernelMarks.Linux) };
    }

    private static Elf64Header ReadHeader(ImageBytes bytes, out bool wide)
    {
        ElfIdent ident = bytes.Read<ElfIdent>(0);
        wide = ident.Class == (byte)ElfClass.Elf64;
        if (!wide && ident.Class != (byte)ElfClass.Elf32) throw bytes.Bad("EI_CLASS", $"is {ident.Class}, neither 32-bit nor 64-bit");
        if (ident.Data != ElfConst.LittleEndian) throw bytes.Bad("EI_DATA", $"is {ident.Data}, not little-endian");
        if (ident.Version != ElfConst.CurrentVersion) throw bytes.Bad("EI_VERSION", $"is {ident.Version}, not 1");
        Elf64Header header = wide ? bytes.Read<Elf64Header>(0) : Widen(bytes.Read<Elf32Header>(0));
        bool machine = wide ? header.Machine == (ushort)ElfMachine.X86_64 : header.Machine is (ushort)ElfMachine.I386 or (ushort)ElfMachine.X86_64;
        if (!machine) throw bytes.Bad("e_machine", $"is {header.Machine}, not x86 of the file's class");
        if (header.Type is not ((ushort)ElfType.Executable or (ushort)ElfType.Shared)) throw bytes.Bad("e_type", $"is {header.Type}, not an executable", "Give the linked kernel, not an object or a core file");
        uint size = EntrySize(wide);
        if (header.PhEntSize != size) throw bytes.Bad("e_phentsize", $"is {header.PhEntSize}, not {size}");
        if (header.PhNum is 0 or > ElfConst.MaxSegments) throw bytes.Bad("e_phnum", $"is {header.PhNum}, outside 1 to {ElfConst.MaxSegments}");
        if (!bytes.Has(header.PhOffset, header.PhNum * size)) throw bytes.Bad("e_phoff", $"0x{header.PhOffset:x} with {header.PhNum} entries leads outside of {bytes.Length} bytes", Truncated);
        return header;
    }

    private static uint EntrySize(bool wide) => (uint)(wide ? Unsafe.SizeOf<Elf64Phdr>() : Unsafe.SizeOf<Elf32Phdr>());

    private static void Check(ImageBytes bytes, in Elf64Phdr p, uint index)
    {
        if (p.FileSize > p.MemSize) throw bytes.Bad("p_filesz", $"0x{p.FileSize:x} of program header {index} is over its p_memsz 0x{p.MemSize:x}");
        if (!bytes.Has(p.Offset, p.FileSize)) throw bytes.Bad("p_filesz", $"0x{p.FileSize:x} at p_offset 0x{p.Offset:x} of program header {index} leads outside of {bytes.Length} bytes", Truncated);
        if (p.MemSize > ulong.MaxValue - p.PhysAddr) throw bytes.Bad("p_paddr", $"0x{p.PhysAddr:x} with p_memsz 0x{p.MemSize:x} of program header {index} wraps around");
    }

    private static KernelSegment[] Segments(ReadOnlySpan<Elf64Phdr> loads)
    {
        var segments = new KernelSegment[loads.Length];
        for (int i = 0; i < loads.Length; i++) segments[i] = new KernelSegment(loads[i].PhysAddr, loads[i].Offset, loads[i].FileSize, loads[i].MemSize);
        return segments;
    }

    private static Elf64Phdr ReadProgramHeader(ImageBytes bytes, ulong offset, bool wide)
    {
        if (wide) return bytes.Read<Elf64Phdr>(offset);
        Elf32Phdr p = bytes.Read<Elf32Phdr>(offset);
        return new Elf64Phdr
        {
            Type = p.Type, Flags = p.Flags, Offset = p.Offset, VirtAddr = p.VirtAddr, PhysAddr = p.PhysAddr, FileSize = p.FileSize, MemSize = p.MemSize, Align = p.Align,
        };
    }

    private static Elf64Header Widen(in Elf32Header h) => new()
    {
        Type = h.Type, Machine = h.Machine, Version = h.Version, Entry = h.Entry, PhOffset = h.PhOffset, PhEntSize = h.PhEntSize, PhNum = h.PhNum,
    };
}
