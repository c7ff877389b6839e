using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>Power management: the guest may say D3hot, nothing here saves power by it.</summary>
public sealed partial class PciPowerCap : IPciCapability
{
    private byte _next;

    internal PciPowerCap(ResidentPage page) => Initialize(page);

    byte IPciCapability.NextPointer
    {
        set
        {
            _next = value;
            PublishResident();
        }
    }

    void IPciCapability.Reset() => ResetRegisters();

    private partial byte ReadNext() => _next;
}
