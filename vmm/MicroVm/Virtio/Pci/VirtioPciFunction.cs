using MicroVm.Diagnostics;
using MicroVm.Devices;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.Transport;

namespace MicroVm.Virtio.Pci;

/// <summary>A virtio device as a PCI function (Virtio 1.2, 4.1), modern only: one BAR of four pages, two of them resident.</summary>
internal sealed class VirtioPciFunction : PciFunction
{
    private const int ResidentPages = 2;

    private readonly ResidentArea _pages = new(ResidentPages);
    private readonly MsixTable _msix;
    private readonly VirtioPciCommon _common;
    private readonly VirtioPciPin? _pin;

    /// <summary>Attaches a device, which the function then owns.</summary>
    /// <param name="address">Where it is plugged in.</param>
    /// <param name="page">Its configuration space.</param>
    /// <param name="device">What it carries.</param>
    /// <param name="memory">Where its queues and buffers lie.</param>
    /// <param name="router">Takes its messages.</param>
    /// <param name="line">Takes its interrupts where the guest uses no MSI-X; null: it has no pin.</param>
    /// <param name="errors">Where the guest's mistakes are counted.</param>
    /// <param name="behind">The IOMMU's view of memory, or null.</param>
    internal VirtioPciFunction(PciAddress address, ResidentPage page, VirtioDevice device, GuestMemory memory, InterruptRouter router, IntxLine? line, GuestErrors errors, IDeviceMemory? behind = null)
        : base(address, page)
    {
        int queues = device.QueueSizes.Length;
        _msix = new MsixTable(queues + 1, router, _pages.Page(1));
        VirtioPciIsr isr = new();
        try
        {
            _common = new VirtioPciCommon(block => new TransportCore(block, address.Devfn, device, memory, errors) { Behind = behind }, _msix, isr, line is not null, _pages.Page(0));
        }
        catch
        {
            _pages.Dispose();
            throw;
        }
        VirtioPciNotify notify = new(_common.Core);
        MsixPba pba = new(_msix);

        PciHeader0 header = SetHeader(new PciHeader0(Identify(device, hasPin: line is not null), Page.Slice(0, (int)PciHeader0.Size)));
        if (line is not null) _pin = new VirtioPciPin(line, isr, _msix, header);
        AddCapability(PciMsixCap.Size, place => new PciMsixCap(_msix, VirtioPciConst.TableOffset, VirtioPciConst.PbaOffset, place));
        if (address.Bus != 0)
        {
            AddCapability(PciPowerCap.Size, static place => new PciPowerCap(place));
            AddCapability(PciExpressCap.Size, static place => new PciExpressCap(PciExpressType.Endpoint, 0, place));
        }
        AddStructure(VirtioPciCapType.Common, 0, VirtioPciConst.CommonLength);
        AddStructure(VirtioPciCapType.Isr, VirtioPciConst.IsrOffset, VirtioPciIsr.Size);
        AddCapability(VirtioPciNotifyCap.Size, place => new VirtioPciNotifyCap((uint)queues * VirtioPciConst.NotifyMultiplier, place));
        if (device.Config is { } config) AddStructure(VirtioPciCapType.Device, VirtioPciConst.ConfigOffset, config.Info.Size);
        VirtioPciWindowCap window = AddCapability(VirtioPciWindowCap.Size, place => new VirtioPciWindowCap(new VirtioPciBarView(_common, notify, isr), place));
        _common.Published = window.Refresh;
        AddBar(new PciBar(0, VirtioPciConst.BarSize, is64: true, prefetchable: true, ListRegions(notify, isr, pba)));
    }

    internal override bool ReadsZerosWhenGone => true;

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

    protected override void Written() => _pin?.Settle();

    internal override void Unplugged()
    {
        _pin?.Dispose();
        lock (_common.Gate) _common.Published = null;
    }

    internal override void Reset()
    {
        lock (_common.Gate) _ = _common.Write(StatusOffset, 1, 0);
        base.Reset();
        _pin?.Settle();
    }

    /// <summary>Resets the device and gives everything back. The function is not plugged in any more, or no vCPU runs.</summary>
    public override void Dispose()
    {
        _pin?.Dispose();
        _common.Dispose();
        _msix.Dispose();
        _pages.Dispose();
    }

    private static uint StatusOffset { get; } = Array.Find(VirtioPciCommon.Catalog.Registers, static r => r.Name == "Status")!.Offset;

    private static PciIdentity Identify(VirtioDevice device, bool hasPin) => new(
        (ushort)PciConst.RedHat, (ushort)(VirtioPciConst.DeviceIdBase + device.DeviceId), VirtioPciClass.Of(device.DeviceId), VirtioPciConst.Revision,
        (ushort)PciConst.RedHat, (ushort)device.DeviceId, hasPin ? (byte)1 : (byte)0);

    private void AddStructure(VirtioPciCapType type, uint offset, uint length) =>
        AddCapability(VirtioPciCap.Size, place => new VirtioPciCap(type, offset, length, place));

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
