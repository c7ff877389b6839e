using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>A run of guest memory that a kernel asks for.</summary>
/// <param name="Address">Guest physical address.</param>
/// <param name="Offset">Where its bytes are in the image.</param>
/// <param name="FileSize">How many bytes come from there.</param>
/// <param name="MemSize">How many it takes in memory; the rest is zero.</param>
internal readonly record struct KernelSegment(ulong Address, ulong Offset, ulong FileSize, ulong MemSize)
{
    /// <summary>First address behind it.</summary>
    internal ulong End => Address + MemSize;
}

/// <summary>What is to be put where, and where it is entered. Made only of checked values: no segment wraps around.</summary>
/// <param name="mode">How it is entered.</param>
/// <param name="entry">Where.</param>
/// <param name="segments">At least one.</param>
internal sealed class KernelImage(BootMode mode, ulong entry, KernelSegment[] segments)
{
    internal BootMode Mode { get; } = mode;

    /// <summary>Its notes say that it is Linux.</summary>
    internal bool IsLinux { get; init; }

    internal ulong Entry { get; } = entry;

    internal KernelSegment[] Segments { get; } = segments;

    /// <summary>Lowest address.</summary>
    internal ulong Start
    {
        get
        {
            ulong start = ulong.MaxValue;
            foreach (KernelSegment s in Segments) start = Math.Min(start, s.Address);
            return start;
        }
    }

    /// <summary>First address behind the highest segment.</summary>
    internal ulong End
    {
        get
        {
            ulong end = 0;
            foreach (KernelSegment s in Segments) end = Math.Max(end, s.End);
            return end;
        }
    }

    /// <summary>Checks that the kernel lies in memory, beside everything else that must be there, and is entered inside itself.</summary>
    /// <exception cref="MicroVmException">It does not.</exception>
    internal void CheckPlace(GuestMemory memory, ImageBytes bytes)
    {
        ulong low = memory.Regions[0].Length;
        if (End > low)
            throw bytes.Bad("the kernel", $"needs {Mebibytes(End)} MiB of memory, the guest has {low >> 20} MiB below the hole", $"Give at least --memory {Mebibytes(End)}M");
        for (int i = 0; i < Segments.Length; i++)
        {
            KernelSegment s = Segments[i];
            if (Overlaps(s, BootLayout.BootAreaStart, BootLayout.BootAreaEnd)) throw Collides(bytes, s, "the boot parameters", BootLayout.BootAreaStart, BootLayout.BootAreaEnd);
            if (Overlaps(s, BootLayout.LegacyStart, BootLayout.LegacyEnd)) throw Collides(bytes, s, "the ACPI tables", BootLayout.LegacyStart, BootLayout.LegacyEnd);
            for (int j = 0; j < i; j++)
                if (Overlaps(s, Segments[j].Address, Segments[j].End)) throw Collides(bytes, s, "another segment", Segments[j].Address, Segments[j].End);
        }
        if (!Holds(Entry)) throw bytes.Bad(Mode == BootMode.Pvh32 ? "the PVH note's entry" : "e_entry", $"0x{Entry:x} lies in no PT_LOAD segment");
    }

    private bool Holds(ulong address)
    {
        foreach (KernelSegment s in Segments)
            if (address >= s.Address && address - s.Address < s.MemSize) return true;
        return false;
    }

    private static bool Overlaps(KernelSegment s, ulong start, ulong end) => s.Address < end && start < s.End;

    private static ulong Mebibytes(ulong bytes) => (bytes + (1 << 20) - 1) >> 20;

    private static MicroVmException Collides(ImageBytes bytes, KernelSegment s, string other, ulong start, ulong end) =>
        bytes.Bad("p_paddr", $"puts a segment at 0x{s.Address:x}-0x{s.End - 1:x}, over {other} at 0x{start:x}-0x{end - 1:x}", "Link the kernel at 1 MiB or above");
}
