using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>The bytes of a kernel, wherever they are. Nothing in them is trusted; what is wrong with them is an error that names the file and the field.</summary>
/// <param name="name">Where they come from, for messages.</param>
internal abstract class ImageBytes(string name)
{
    /// <summary>Where the bytes come from.</summary>
    internal string Name { get; } = name;

    /// <summary>How many there are.</summary>
    internal abstract ulong Length { get; }

    /// <summary>Copies bytes out.</summary>
    /// <exception cref="MicroVmException">They are not there.</exception>
    internal abstract void Read(ulong offset, Span<byte> into);

    /// <summary>Copies bytes into guest memory. Pages that are zero may be left alone: guest memory is zero at first.</summary>
    /// <exception cref="MicroVmException">They are not there.</exception>
    internal abstract void Read(ulong offset, HostRange into);

    /// <summary>Copies a structure out.</summary>
    /// <exception cref="MicroVmException">It is not there.</exception>
    internal T Read<T>(ulong offset) where T : unmanaged
    {
        T value = default;
        Read(offset, MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    /// <summary>Whether a range lies inside.</summary>
    internal bool Has(ulong offset, ulong length) => offset <= Length && length <= Length - offset;

    /// <summary>What is wrong with a field of the image.</summary>
    internal MicroVmException Bad(string field, string problem, string remedy = "Give a bzImage or an ELF kernel for x86") =>
        MicroVmException.Image("cannot use the kernel", $"{Name}: {field} {problem}", remedy);

    /// <summary>The bytes end too early.</summary>
    internal MicroVmException Short(ulong offset, ulong length) =>
        Bad("the file", $"ends at {Length} bytes, but {length} bytes are wanted at {offset}", "It looks truncated: copy it again");
}

/// <summary>A kernel that was unpacked into memory of this process.</summary>
internal sealed class UnpackedBytes(string name, HostRange bytes) : ImageBytes(name)
{
    internal override ulong Length => bytes.Length;

    internal override void Read(ulong offset, Span<byte> into)
    {
        if (!Has(offset, (ulong)into.Length)) throw Short(offset, (ulong)into.Length);
        bytes.Slice(offset, (ulong)into.Length).Span.CopyTo(into);
    }

    internal override void Read(ulong offset, HostRange into)
    {
        if (!Has(offset, into.Length)) throw Short(offset, into.Length);
        bytes.Slice(offset, into.Length).Span.CopyTo(into.Span);
    }

    /// <summary>The length of a range without the zero pages at its end, which need not be copied.</summary>
    internal ulong Significant(ulong offset, ulong length) => ZeroPages.Trim(bytes.Slice(offset, length));
}

/// <summary>Zero pages are not worth copying or storing: a kernel's ELF carries its bss as zeros.</summary>
internal static class ZeroPages
{
    /// <summary>The length of a range without the zero pages at its end.</summary>
    internal static ulong Trim(HostRange range)
    {
        ulong length = range.Length;
        while (length > 0)
        {
            ulong page = (length - 1) & ~(GuestMemory.PageSize - 1);
            if (range.Slice(page, length - page).Span.ContainsAnyExcept((byte)0)) break;
            length = page;
        }
        return length;
    }
}
