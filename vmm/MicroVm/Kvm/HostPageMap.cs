using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Where a page of this process is in the host's memory: <c>/proc/self/pagemap</c> (Linux Documentation/admin-guide/mm/pagemap.rst).</summary>
internal static class HostPageMap
{
    private const int PageBits = 12;
    private const ulong Present = 1UL << 63, Swapped = 1UL << 62, FrameMask = (1UL << 55) - 1;

    /// <summary>The host physical address, or null with the reason. Nothing is touched: a page that does not exist yet stays so.</summary>
    /// <param name="address">In this process.</param>
    /// <param name="why">Why not.</param>
    internal static ulong? Find(ulong address, out string why)
    {
        using HostFile? file = HostFile.TryOpen("/proc/self/pagemap", Libc.O_RDONLY, out int error);
        why = "";
        ulong entry = 0;
        if (file is null || file.Read(MemoryMarshal.AsBytes(new Span<ulong>(ref entry)), (address >> PageBits) * sizeof(ulong)) != sizeof(ulong))
        {
            why = $"/proc/self/pagemap cannot be read: {Libc.Describe(error)}";
            return null;
        }
        if ((entry & Present) == 0) why = (entry & Swapped) != 0 ? "swapped out" : "no page yet: the host makes it when it is touched";
        // Without CAP_SYS_ADMIN the kernel shows that there is a page and not which.
        else if ((entry & FrameMask) == 0) why = "hidden: the monitor lacks CAP_SYS_ADMIN";
        return why.Length > 0 ? null : (entry & FrameMask) << PageBits | (address & ((1UL << PageBits) - 1));
    }
}
