using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Pci;

/// <summary>Function 00:00.0: says that this is a PCI Express host bridge, and does nothing.</summary>
internal sealed class HostBridge : PciFunction
{
    private const uint Class = (uint)(PciConst.ClassBridge << 16 | PciConst.SubClassHost << 8);

    internal HostBridge(ResidentPage page) : base(default, page) =>
        SetHeader(new PciHeader0(new PciIdentity((ushort)PciConst.BridgeVendor, (ushort)PciConst.HostBridgeDevice, Class, 0), Page.Slice(0, (int)PciHeader0.Size)));

    internal override string Name => "host bridge";
}
