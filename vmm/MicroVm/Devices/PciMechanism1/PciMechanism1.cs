namespace MicroVm.Devices;

/// <summary>The old way to configuration space, where the machine has no PCI. A kernel that finds no way at all prints an
/// error as its first line, also when it is told to be quiet; one that finds this and looks for functions finds none.
/// </summary>
public sealed partial class PciMechanism1
{
    internal PciMechanism1() => Initialize();

    private partial uint ReadData() => _r.Address switch
    {
        (uint)PciMechanism1Const.ClassRegister => PciMechanism1Const.HostBridge,
        (uint)PciMechanism1Const.HeaderRegister => 0,
        _ => uint.MaxValue,
    };
}
