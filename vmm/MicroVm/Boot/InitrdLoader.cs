using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>An initial RAM disk in guest memory.</summary>
/// <param name="Address">Guest address, page aligned.</param>
/// <param name="Size">Bytes; 0 for none.</param>
internal readonly record struct LoadedInitrd(ulong Address, ulong Size)
{
    /// <summary>First address behind it.</summary>
    internal ulong End => Address + Size;
}

/// <summary>Puts the initial RAM disk as high as it may be, away from where the kernel grows.</summary>
internal static class InitrdLoader
{
    /// <summary>Copies the file into guest memory with huge pages asked for.</summary>
    /// <remarks>It is copied, not mapped: whoever truncates a mapped file kills the guest, and the kernel reads all of it anyway (docs/decisions/0011).</remarks>
    /// <param name="memory">Guest memory.</param>
    /// <param name="file">Initial RAM disk.</param>
    /// <param name="kernel">Kernel, which it must not touch.</param>
    /// <param name="highest">Highest address that a byte of it may have.</param>
    /// <exception cref="MicroVmException">It does not fit, or cannot be read.</exception>
    internal static LoadedInitrd Load(GuestMemory memory, BootFile file, in LoadedKernel kernel, ulong highest)
    {
        ulong size = file.Length, limit = Math.Min(memory.Regions[0].Length, highest == ulong.MaxValue ? highest : highest + 1) & ~(GuestMemory.PageSize - 1);
        ulong floor = Math.Max(BootLayout.LegacyEnd, RoundUp(kernel.End));
        if (floor > limit || size > limit - floor)
        {
            ulong need = size > ulong.MaxValue / 2 ? ulong.MaxValue : RoundUp(size) + floor;
            throw file.Unusable($"has {size} bytes, room for it is {(floor > limit ? 0 : limit - floor)} between the kernel's end 0x{kernel.End:x} and 0x{limit:x}",
                need <= Math.Min(highest, MachineMap.LowMemory.Length) ? $"Give at least --memory {(need + (1 << 20) - 1) >> 20}M" : "Give a smaller one");
        }
        ulong address = (limit - size) & ~(GuestMemory.PageSize - 1);
        if (!memory.TryRange(address, size, out HostRange range)) throw file.Unusable("lies outside of memory", "Give more with --memory");
        file.Read(0, range);
        return new LoadedInitrd(address, size);
    }

    private static ulong RoundUp(ulong value) => (value + GuestMemory.PageSize - 1) & ~(GuestMemory.PageSize - 1);
}
