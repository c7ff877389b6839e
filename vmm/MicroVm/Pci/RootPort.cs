using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Pci;

/// <summary>A PCI Express root port: the way to a bus of its own, with one slot.</summary>
internal sealed class RootPort : PciFunction
{
    private readonly PciHeader1 _header;
    private readonly PciExpressCap _express;
    private PciSpace? _low, _high;

    /// <param name="address">On bus 0.</param>
    /// <param name="secondary">Bus below, which is also the number of the slot.</param>
    /// <param name="page">Its configuration space.</param>
    internal RootPort(PciAddress address, byte secondary, ResidentPage page) : base(address, page)
    {
        Secondary = secondary;
        PciIdentity identity = new((ushort)PciConst.BridgeVendor, (ushort)PciConst.RootPortDevice, 0, 0);
        _header = SetHeader(new PciHeader1(identity, address.Bus, secondary, ResetBelow, Page.Slice(0, (int)PciHeader1.Size)));
        AddCapability(PciPowerCap.Size, static place => new PciPowerCap(place));
        _express = AddCapability(PciExpressCap.Size, place => new PciExpressCap(PciExpressType.RootPort, secondary, place));
    }

    internal override string Name => "root port";

    /// <summary>The bus below.</summary>
    internal byte Secondary { get; }

    /// <summary>Says whether something is in the slot.</summary>
    internal bool Occupied { set => _express.Occupied = value; }

    /// <summary>Its windows, for <c>explain</c>.</summary>
    internal string Windows => _header.Windows;

    /// <summary>Whether an access to this range reaches the bus below.</summary>
    internal bool Forwards(ulong start, ulong length) => Header.MemoryEnabled && _header.Forwards(start, length);

    /// <summary>Sets the windows before the guest runs.</summary>
    internal void Program(ulong low, ulong lowLength, ulong high, ulong highLength)
    {
        _header.Program(low, lowLength, high, highLength);
        (_low, _high) = (new PciSpace(low, low + lowLength), new PciSpace(high, high + highLength));
    }

    /// <summary>A place for a BAR in the windows as they were at start.</summary>
    internal ulong Take(PciBar bar) => (bar is { Is64: true, Prefetchable: true } ? _high : _low)!.Take(bar.Size, bar.Size);

    /// <summary>Gives such a place back.</summary>
    internal void Give(PciBar bar, ulong at) => (bar is { Is64: true, Prefetchable: true } ? _high : _low)!.Give(at);

    private void ResetBelow()
    {
        if (Root is not { } root) return;
        foreach (PciFunction function in root.Functions)
        {
            if (function.Address.Bus != Secondary) continue;
            lock (function.Gate)
            {
                // It may have been taken out meanwhile.
                if (function.Root is not null) function.Reset();
            }
        }
    }
}
