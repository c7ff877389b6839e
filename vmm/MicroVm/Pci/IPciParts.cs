using MicroVm.Bus;
using MicroVm.Memory;

namespace MicroVm.Pci;

/// <summary>The first 64 bytes of a function's configuration space, as its function uses them.</summary>
internal interface IPciHeader : IRegisterBlock
{
    /// <summary>Offset of the first capability.</summary>
    byte FirstCapability { set; }

    /// <summary>The function answers in its BARs, the bridge in its windows.</summary>
    bool MemoryEnabled { get; }

    /// <summary>The function may read and write memory and send messages.</summary>
    bool BusMaster { get; }

    /// <summary>What is decoded may have changed since this was last asked.</summary>
    bool TakeChanged();

    /// <summary>The values after a reset of the function.</summary>
    void Reset();
}

/// <summary>A capability: a declared block somewhere in the configuration space of a function.</summary>
internal interface IPciCapability : IRegisterBlock
{
    /// <summary>The values after a reset of the function.</summary>
    void Reset();
}

/// <summary>Where a capability stands.</summary>
/// <param name="Next">Offset of the next one, 0 at the end of the list.</param>
/// <param name="Page">Its part of the function's configuration space.</param>
internal readonly record struct CapabilityPlace(byte Next, ResidentPage Page);

/// <summary>Who a function is.</summary>
/// <param name="Vendor">Vendor.</param>
/// <param name="Device">Device of that vendor.</param>
/// <param name="Class">Class, subclass and interface: 0xCCSSII.</param>
/// <param name="Revision">Revision.</param>
/// <param name="SubsystemVendor">Vendor of the card.</param>
/// <param name="Subsystem">Card of that vendor.</param>
/// <param name="InterruptPin">0: no INTx; 1 to 4: INTA to INTD.</param>
internal readonly record struct PciIdentity(ushort Vendor, ushort Device, uint Class, byte Revision, ushort SubsystemVendor = 0, ushort Subsystem = 0, byte InterruptPin = 0);
