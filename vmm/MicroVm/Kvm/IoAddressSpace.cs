namespace MicroVm.Kvm;

/// <summary>A range in the IOMMU.</summary>
/// <param name="Iova">First address as the devices see it.</param>
/// <param name="Length">Bytes.</param>
/// <param name="HostAddress">Where this process has it.</param>
internal readonly record struct VfioMapping(ulong Iova, ulong Length, nint HostAddress);

/// <summary>One I/O address space: the devices in it reach what <see cref="Map"/> gave them, and nothing else. A <see cref="VfioContainer"/>, or an <see cref="IommufdSpace"/>.</summary>
/// <remarks>Methods answer 0 or the error number; what it means is said by those who call.</remarks>
internal abstract class IoAddressSpace : IDisposable
{
    private readonly List<VfioMapping> _mappings = [];

    /// <summary>What of the kernel it is: <c>container</c> or <c>iommufd</c>.</summary>
    internal abstract string Kind { get; }

    /// <summary>What is mapped now.</summary>
    internal VfioMapping[] Mappings
    {
        get
        {
            lock (_mappings) return [.. _mappings];
        }
    }

    /// <summary>Lets the devices read and write memory of this process at <paramref name="iova"/>; its pages are pinned.</summary>
    /// <param name="iova">First address as the devices see it.</param>
    /// <param name="length">Bytes, whole pages.</param>
    /// <param name="hostAddress">Where this process has it.</param>
    /// <param name="access">What the devices may do: <see cref="VfioAbi.DmaRead"/>, <see cref="VfioAbi.DmaWrite"/>.</param>
    internal int Map(ulong iova, ulong length, nint hostAddress, uint access = VfioAbi.DmaRead | VfioAbi.DmaWrite)
    {
        VfioMapping mapping = new(iova, length, hostAddress);
        int error = MapPages(mapping, access);
        if (error != 0) return error;
        lock (_mappings) _mappings.Add(mapping);
        return 0;
    }

    /// <summary>Takes the mappings in a range away, which must not cut one in two; none there is no error.</summary>
    internal int Unmap(ulong iova, ulong length)
    {
        int error = UnmapPages(iova, length);
        if (error != 0) return error;
        lock (_mappings) _mappings.RemoveAll(m => m.Iova - iova < length);
        return 0;
    }

    /// <summary>The addresses that can be mapped, in order, once there is a device; none where the kernel does not say.</summary>
    internal abstract IReadOnlyList<(ulong First, ulong Last)> Ranges();

    /// <summary>Takes all mappings away, when the last device is closed too.</summary>
    public abstract void Dispose();

    /// <summary>Some mapping lies in the range, in whole or in part.</summary>
    protected bool Touches(ulong iova, ulong length)
    {
        lock (_mappings)
        {
            foreach (VfioMapping m in _mappings)
            {
                if (m.Iova - iova < length || iova - m.Iova < m.Length) return true;
            }
            return false;
        }
    }

    protected abstract int MapPages(in VfioMapping mapping, uint access);

    protected abstract int UnmapPages(ulong iova, ulong length);
}
