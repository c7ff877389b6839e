using MicroVm.Boot.Unpack;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>Where a kernel's bytes came from.</summary>
internal enum KernelOrigin
{
    /// <summary>Copied out of the file itself.</summary>
    Copied,

    /// <summary>Unpacked from a bzImage.</summary>
    Unpacked,

    /// <summary>Read from the cache, unpacked.</summary>
    Cached,
}

/// <summary>A kernel in guest memory.</summary>
/// <param name="Mode">How it is entered.</param>
/// <param name="Entry">Where.</param>
/// <param name="Start">Lowest guest address that it takes.</param>
/// <param name="End">First guest address behind it.</param>
/// <param name="Header">Its setup header in an otherwise empty zero page; null if the file has none.</param>
/// <param name="Origin">Where the bytes came from.</param>
/// <param name="IsLinux">It is Linux: it has a setup header, or notes of Linux's.</param>
internal readonly record struct LoadedKernel(BootMode Mode, ulong Entry, ulong Start, ulong End, BootParams? Header,
    KernelOrigin Origin, bool IsLinux);

/// <summary>Puts a kernel into guest memory: a bzImage of any compression or none, or an ELF with or without a PVH
/// note.</summary>
internal static class KernelLoader
{
    // Below this a copy is cheaper than to look for a cached file.
    private const ulong CacheThreshold = 1 << 20;

    /// <summary>Loads a kernel into memory that is still zero.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="file">Kernel.</param>
    /// <param name="openCache">Opens the cache where it is of use; null or an answer of null for none.</param>
    /// <exception cref="MicroVmException">The file is not a kernel that this guest can hold; the message names the field.</exception>
    internal static LoadedKernel Load(GuestMemory memory, BootFile file, Func<KernelCache?>? openCache)
    {
        bool elf = ElfReader.Is(file.Prefix), packed = !elf && BzImage.Is(file.Prefix);
        if (!elf && !packed) throw file.Bad("the file", "begins neither like a bzImage nor like an ELF file");
        BootParams? header = packed ? BzImage.Header(file.Prefix) : null;
        KernelImage? plain = packed ? BzImage.Plain(file) : null;
        packed &= plain is null;
        using KernelCache? cache = packed || file.Length >= CacheThreshold ? openCache?.Invoke() : null;
        if (cache?.TryLoad(memory, file) is { } cached) return Loaded(cached, header, KernelOrigin.Cached);
        KernelImage image = packed ? Unpack(memory, file) : Copy(memory, file, plain ?? ElfReader.Read(file));
        cache?.Store(memory, file, image);
        return Loaded(image, header, packed ? KernelOrigin.Unpacked : KernelOrigin.Copied);
    }

    private static KernelImage Unpack(GuestMemory memory, BootFile file)
    {
        BzImage.Payload payload = BzImage.Find(file, memory.Regions[0].Length);
        using HostMapping mapping = PayloadDecoder.Unpack(file, payload);
        UnpackedBytes bytes = new(file.Name + " (unpacked)", mapping.Range);
        if (payload.Unpacked < sizeof(uint) || !ElfReader.Is(mapping.Range.Slice(0, sizeof(uint)).Span))
            throw file.Bad("the payload", "unpacks to something that is not an ELF file");
        KernelImage image = ElfReader.Read(bytes);
        for (int i = 0; i < image.Segments.Length; i++)
        {
            KernelSegment s = image.Segments[i];
            image.Segments[i] = s with { FileSize = bytes.Significant(s.Offset, s.FileSize) };
        }
        return Copy(memory, bytes, image);
    }

    private static KernelImage Copy(GuestMemory memory, ImageBytes bytes, KernelImage image)
    {
        image.CheckPlace(memory, bytes);
        foreach (KernelSegment s in image.Segments)
        {
            if (s.FileSize == 0) continue;
            if (!memory.TryRange(s.Address, s.FileSize, out HostRange range)) throw bytes.Bad("p_paddr", $"0x{s.Address:x} lies outside of memory");
            bytes.Read(s.Offset, range);
        }
        return image;
    }

    private static LoadedKernel Loaded(KernelImage image, BootParams? header, KernelOrigin origin) =>
        new(image.Mode, image.Entry, image.Start, image.End, header, origin, header is not null || image.IsLinux);
}
