using MicroVm.Memory;
using MicroVm.Virtio.Iommu;

namespace MicroVm.Devices;

/// <summary>What the driver reads of the IOMMU, and its bypass switch.</summary>
public sealed partial class VirtioIommuConfig
{
    private readonly IommuTable _table;

    internal VirtioIommuConfig(IommuTable table)
    {
        _table = table;
        Initialize();
    }

    /// <summary>Room for properties in a Probe request.</summary>
    internal static int ProbeBytes { get; } = (int)Array.Find(Catalog.Registers, static r => r.Name == "ProbeSize")!.Reset;

    // Any multiple of a page.
    private partial ulong ReadPageSizes() => ~(GuestMemory.PageSize - 1);

    private partial ulong ReadInputEnd() => VirtioIommuConst.LastAddress;

    private partial byte ReadBypass() => _table.Bypass ? (byte)1 : (byte)0;

    // 5.13.4.2: other values are ignored.
    private partial void WriteBypass(byte value)
    {
        if (value <= 1) _table.SetBypass(value == 1);
    }
}
