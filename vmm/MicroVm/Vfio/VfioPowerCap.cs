using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Vfio;

namespace MicroVm.Devices;

/// <summary>Power management of an assigned function: the guest's wish for a power state reaches the hardware, where VFIO keeps and restores what it loses.</summary>
public sealed partial class VfioPowerCap : IPciCapability
{
    private readonly VfioConfig _config;
    private readonly uint _at;
    private readonly ushort _capabilities;
    private readonly byte _next;

    /// <param name="config">The hardware.</param>
    /// <param name="at">Offset of its capability.</param>
    /// <param name="place">Where the guest reads it.</param>
    internal VfioPowerCap(VfioConfig config, uint at, in CapabilityPlace place)
    {
        (_config, _at) = (config, at);
        _capabilities = (ushort)(config.Read(at + 2, 2) & PciCapabilityConst.PowerEventMask);
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset() => PublishResident();

    private partial byte ReadNext() => _next;

    private partial ushort ReadCapabilities() => _capabilities;

    private partial ushort ReadControl() => (ushort)(_config.Read(_at + 4, 2) & (Bits.ControlStatusPowerState | Bits.ControlStatusNoSoftReset));

    // The low byte only: power events, in the high one, are the host's. What is reserved there is kept (7.5.2.2).
    private partial void WriteControl(ushort value)
    {
        const uint guests = Bits.ControlStatusPowerState;
        _config.Write(_at + 4, 1, (_config.Read(_at + 4, 1) & ~guests) | (value & guests));
    }
}
