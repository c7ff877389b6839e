namespace MicroVm.Pci;

/// <summary>A window of addresses, given out in aligned pieces: what firmware does at start, and what a hot-plugged function needs again.</summary>
/// <param name="start">First address.</param>
/// <param name="end">First address behind it.</param>
internal sealed class PciSpace(ulong start, ulong end)
{
    private readonly List<(ulong Start, ulong End)> _taken = [];

    /// <summary>The lowest free piece.</summary>
    /// <param name="size">Bytes.</param>
    /// <param name="alignment">Power of two.</param>
    /// <exception cref="MicroVmException">There is no room left.</exception>
    internal ulong Take(ulong size, ulong alignment)
    {
        ulong at = Align(start, alignment);
        int index = 0;
        // Aligning may go over the next piece, which then begins before the place that is looked at.
        for (; index < _taken.Count && !Before(at, size, _taken[index].Start); index++)
            at = Align(Math.Max(at, _taken[index].End), alignment);
        if (at > end || size > end - at) throw MicroVmException.Usage("the PCI devices do not fit", $"{size >> 10} KiB of addresses wanted at 0x{start:x}", "Give the machine fewer devices");
        _taken.Insert(index, (at, at + size));
        return at;
    }

    /// <summary>Gives a piece back.</summary>
    internal void Give(ulong at) => _taken.RemoveAll(t => t.Start == at);

    private static bool Before(ulong at, ulong size, ulong next) => at <= next && size <= next - at;

    private static ulong Align(ulong at, ulong alignment) => (at + alignment - 1) & ~(alignment - 1);
}
