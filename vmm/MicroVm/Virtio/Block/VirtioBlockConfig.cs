namespace MicroVm.Devices;

/// <summary>What the driver reads of a disk.</summary>
public sealed partial class VirtioBlockConfig
{
    private readonly ulong _sectors;
    private readonly uint _segments;

    /// <summary>Says capacity and limits.</summary>
    internal VirtioBlockConfig(ulong sectors, uint segments)
    {
        _sectors = sectors;
        _segments = segments;
        Initialize();
    }

    private partial ulong ReadCapacity() => _sectors;

    private partial uint ReadSegMax() => _segments;
}
