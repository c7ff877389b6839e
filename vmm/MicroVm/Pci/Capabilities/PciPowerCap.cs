using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Devices;

/// <summary>Power management: the guest may say D3hot, nothing here saves power by it.</summary>
public sealed partial class PciPowerCap : IPciCapability
{
    private readonly byte _next;

    internal PciPowerCap(in CapabilityPlace place)
    {
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset() => ResetRegisters();

    private partial byte ReadNext() => _next;
}
