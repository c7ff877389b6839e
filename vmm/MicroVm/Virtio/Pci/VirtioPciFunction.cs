using MicroVm.Diagnostics;
using MicroVm.Devices;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Virtio.Transport;

namespace MicroVm.Virtio.Pci;

/// <summary>A virtio device as a PCI function (Virtio 1.2, 4.1), modern only: one BAR of four pages, two of them resident.</summary>
internal sealed class VirtioPciFunction : PciFunction
{
    private const int ResidentPages = 2;

    private readonly ResidentArea _pages = new(ResidentPages);
    private readonly MsixTable _msix;
    private readonly VirtioPciCommon _common;

    /// <summary>Attaches a device, which the function then owns.</summary>
    /// <param name="address">Where it is plugged in.</param>
    /// <param name="page">Its configuration space.</param>
    /// <param name="device">What it carries.</param>
    /// <param name="memory">Where its queues and buffers lie.</param>
    /// <param name="router">Takes its messages.</param>
    /// <param name="errors">Where the guest's mistakes are counted.</param>
    internal VirtioPciFunction(PciAddress address, ResidentPage page, VirtioDevice device, GuestMemory memory, InterruptRouter router, GuestErrors errors)
        : base(address, page)
    {
        int queues = device.QueueSizes.Length;
        _msix = new MsixTable(queues + 1, router, _pages.Page(1));
        VirtioPciIsr isr = new();
        _common = new VirtioPciCommon(block => new TransportCore(block, address.Devfn, device, memory, errors), _msix, isr, _pages.Page(0));
        VirtioPciNotify notify = new(_common.Core);
        MsixPba pba = new(_msix);

        SetHeader(new PciHeader0(Identify(device), Page.Slice(0, (int)PciHeader0.Size)));
        AddCapability(PciMsixCap.Size, page => new PciMsixCap(_msix, VirtioPciConst.TableOffset, VirtioPciConst.PbaOffset, page));
        if (address.Bus != 0)
        {
            AddCapability(PciPowerCap.Size, static page => new PciPowerCap(page));
            AddCapability(PciExpressCap.Size, static page => new PciExpressCap(PciExpressType.Endpoint, 0, page));
        }
        AddStructure(VirtioPciCapType.Common, 0, VirtioPciConst.CommonLength);
        AddStructure(VirtioPciCapType.Isr, VirtioPciConst.IsrOffset, VirtioPciIsr.Size);
        AddCapability(VirtioPciNotifyCap.Size, page => new VirtioPciNotifyCap((uint)queues * VirtioPciConst.NotifyMultiplier, page));
        if (device.Config is { } config) AddStructure(VirtioPciCapType.Device, VirtioPciConst.ConfigOffset, config.Info.Size);
        VirtioPciWindowCap window = AddCapability(VirtioPciWindowCap.Size, page => new VirtioPciWindowCap(new VirtioPciBarView(_common, notify, isr), page));
        _common.Published = window.Refresh;
        AddBar(new PciBar(0, VirtioPciConst.BarSize, is64: true, prefetchable: true, ListRegions(notify, isr, pba)));
    }

    internal override string Name => _common.Core.Device.Name;

    /// <summary>Its vectors.</summary>
    internal MsixTable Msix => _msix;

    /// <summary>Its registers.</summary>
    internal VirtioPciCommon Common => _common;

    protected override void DecodeChanged()
    {
        bool master = Header.BusMaster;
        _msix.SwitchBusMaster(master);
        _common.Core.AllowMemory(master);
        base.DecodeChanged();
    }

    internal override void Reset()
    {
        lock (_common.Gate) _ = _common.Write(StatusOffset, 1, 0);
        base.Reset();
    }

    /// <summary>Resets the device and gives everything back. The function is not plugged in any more, or no vCPU runs.</summary>
    public override void Dispose()
    {
        _common.Core.Dispose();
        _msix.Dispose();
        _pages.Dispose();
    }

    private static uint StatusOffset { get; } = Array.Find(VirtioPciCommon.Catalog.Registers, static r => r.Name == "Status")!.Offset;

    private static PciIdentity Identify(VirtioDevice device) => new(
        (ushort)PciConst.RedHat, (ushort)(VirtioPciConst.DeviceIdBase + device.DeviceId), VirtioPciClass.Of(device.DeviceId), VirtioPciConst.Revision,
        (ushort)PciConst.RedHat, (ushort)device.DeviceId);

    private void AddStructure(VirtioPciCapType type, uint offset, uint length) =>
        AddCapability(VirtioPciCap.Size, page => new VirtioPciCap(type, offset, length, page));

    private BarRegion[] ListRegions(VirtioPciNotify notify, VirtioPciIsr isr, MsixPba pba)
    {
        List<BarRegion> regions =
        [
            new BarRegion.Memory(0, _pages.Length, _pages.HostAddress, ReadOnly: true),
            new BarRegion.Registers(0, _common),
            new BarRegion.Registers(VirtioPciConst.TableOffset, _msix),
            new BarRegion.Registers(VirtioPciConst.NotifyOffset, notify),
            new BarRegion.Registers(VirtioPciConst.IsrOffset, isr),
            new BarRegion.Registers(VirtioPciConst.PbaOffset, pba),
        ];
        for (int i = 0; i < _common.Core.Kicks.Length; i++)
        {
            regions.Add(new BarRegion.Doorbell(VirtioPciConst.NotifyOffset + (ulong)(i * VirtioPciConst.NotifyMultiplier), 0, null, _common.Core.Kicks[i]));
        }
        return [.. regions];
    }
}
