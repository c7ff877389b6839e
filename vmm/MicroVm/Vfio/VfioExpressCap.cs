using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Vfio;

namespace MicroVm.Devices;

/// <summary>PCI Express capability of an assigned function: how it reads memory is the guest's affair, and so is a reset of the function. Links, errors and payload sizes are the host's.</summary>
public sealed partial class VfioExpressCap : IPciCapability
{
    private readonly VfioConfig _config;
    private readonly uint _at;
    private readonly Action _reset;
    private readonly ushort _capabilities;
    private readonly uint _deviceCaps;
    private readonly byte _next;

    /// <param name="config">The hardware.</param>
    /// <param name="at">Offset of its capability.</param>
    /// <param name="integrated">It stands on bus 0, where there is no link above it.</param>
    /// <param name="reset">Resets the function.</param>
    /// <param name="place">Where the guest reads it.</param>
    internal VfioExpressCap(VfioConfig config, uint at, bool integrated, Action reset, in CapabilityPlace place)
    {
        (_config, _at, _reset) = (config, at, reset);
        _capabilities = (ushort)config.Read(at + 2, 2);
        _deviceCaps = config.Read(at + 4, 4);
        if (integrated) _capabilities = (ushort)(_capabilities & ~PciCapabilityConst.ExpressTypeMask | (int)PciExpressType.IntegratedEndpoint << PciExpressConst.TypeShift);
        _next = place.Next;
        Initialize(place.Page);
    }

    void IPciCapability.Reset() => PublishResident();

    private partial byte ReadNext() => _next;

    private partial ushort ReadCapabilities() => _capabilities;

    private partial uint ReadDeviceCaps() => _deviceCaps;

    private partial ushort ReadControl() => (ushort)(_config.Read(_at + 8, 2) & ~(uint)Bits.DeviceControlFunctionReset);

    private partial ushort ReadStatus() => (ushort)_config.Read(_at + 10, 2);

    private partial void WriteControl(ushort value)
    {
        if ((value & Bits.DeviceControlFunctionReset) != 0)
        {
            _reset();
            return;
        }
        const uint guests = Bits.DeviceControlRelaxedOrdering | Bits.DeviceControlNoSnoop | Bits.DeviceControlReadRequestSize;
        _config.Write(_at + 8, 2, (_config.Read(_at + 8, 2) & ~guests) | (value & guests));
    }
}
