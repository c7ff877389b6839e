using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Vfio;

/// <summary>A real PCI function in the guest: its configuration space by the rules of <c>devices.def/vfio_config.def</c>, its BARs mapped, its interrupts connected (docs/vfio.md).</summary>
internal sealed class VfioFunction : PciFunction, IIntxSource
{
    private readonly IVfioDevice _device;
    private readonly VfioConfig _config;
    private readonly VfioInterrupts _interrupts;
    private readonly IntxLine? _line;
    private readonly MsixTable? _msix;
    private readonly PciMsiCap? _msi;
    private uint _command;
    private bool _disposed;

    /// <summary>The address space that its DMA is in; null in tests.</summary>
    internal VfioHost? Host { get; init; }

    /// <summary>Through what its DMA goes, for people.</summary>
    internal string Way =>
        $"vfio {Host?.Devices.FirstOrDefault(d => d.Function.Address == HostAddress).Space?.Kind}".TrimEnd();

    /// <summary>Its vectors, or null.</summary>
    internal MsixTable? Msix => _msix;

    /// <summary>Its single message, or null.</summary>
    internal PciMsiCap? Msi => _msi;

    /// <summary>Resets the device and makes it a function. It is owned from then on.</summary>
    /// <param name="address">Where it is plugged in.</param>
    /// <param name="page">Its configuration space.</param>
    /// <param name="name">Its address on the host.</param>
    /// <param name="device">The hardware.</param>
    /// <param name="router">Takes its messages.</param>
    /// <param name="line">Takes its interrupts where the guest uses no messages; null: it has no pin.</param>
    /// <param name="errors">Where refusals of the host are counted.</param>
    internal VfioFunction(PciAddress address, ResidentPage page, string name, IVfioDevice device, InterruptRouter router, IntxLine? line, GuestErrors errors)
        : base(address, page)
    {
        HostAddress = name;
        _device = device;
        _ = device.Reset();
        _config = new VfioConfig(device);
        VfioConfigSpace space = new(_config.Image());
        if (!space.IsOrdinary) throw MicroVmException.Usage("this device cannot be assigned", $"{name}: it is a bridge", "Assign a device behind it");
        _interrupts = new VfioInterrupts(device, Name, line?.Event, errors);

        SetHeader(new PciHeader0(space.Identity(withPin: line is not null), Page.Slice(0, (int)PciHeader0.Size)));
        VfioMsix? msix = null;
        // The last first, so that the list has the hardware's order.
        foreach ((PciCapabilityRule id, uint at) in space.Capabilities.Reversed())
        {
            uint length = space.Length(id, at);
            switch (id)
            {
                case PciCapabilityRule.Power:
                    AddCapabilityAt(at, VfioPowerCap.Size, place => new VfioPowerCap(_config, at, place));
                    break;
                case PciCapabilityRule.Express:
                    space.Copy(at, length, Page);
                    if (address.Bus == 0) Page.Bytes(at + PciCapabilityConst.ExpressLinkOffset, PciCapabilityConst.ExpressLinkLength).Clear();
                    AddCapabilityAt(at, VfioExpressCap.Size, place => new VfioExpressCap(_config, at, address.Bus == 0, Reset, place));
                    break;
                case PciCapabilityRule.Msi:
                    _msi = AddCapabilityAt(at, PciMsiCap.Size, place => new PciMsiCap(router, place));
                    break;
                case PciCapabilityRule.Msix:
                    int vectors = (space.Word(at + 2) & PciCapabilityConst.MsixCountMask) + 1;
                    _msix = new MsixTable(vectors, router, new ResidentPage(vectors * PciCapabilityConst.MsixEntrySize)) { Observer = _interrupts };
                    msix = new VfioMsix(_msix, space.Dword(at + 4), space.Dword(at + 8));
                    AddCapabilityAt(at, PciMsixCap.Size, place => new PciMsixCap(_msix, msix.TableAt, msix.PbaAt, place));
                    break;
                default:
                    space.Copy(at, length, Page);
                    AddCapabilityAt(at, length, place => new VfioReadOnlyCap($"Vfio{id}", length, place));
                    break;
            }
        }
        space.CopyExtended(Page);
        foreach (PciBar bar in VfioBars.List(device, space, msix)) AddBar(bar);
        WriteCommand();
        _interrupts.UseLine();
        _line = line;
        line?.Add(this);
    }

    /// <summary>What goes when it has gone.</summary>
    internal IDisposable? Owned { private get; init; }

    void IIntxSource.LineEnded() => _interrupts.EndOfInterrupt();

    internal override string Name => $"vfio {HostAddress}";

    /// <summary>Its address on the host.</summary>
    internal string HostAddress { get; }

    /// <summary>How it interrupts, for <c>explain</c>.</summary>
    internal VfioInterrupts Interrupts => _interrupts;

    protected override void DecodeChanged()
    {
        bool master = Header.BusMaster;
        WriteCommand();
        _msix?.SwitchBusMaster(master);
        _msi?.SwitchBusMaster(master);
        base.DecodeChanged();
    }

    protected override void Written()
    {
        WriteCommand();
        if (_msi is not null) _interrupts.SwitchMsi(_msi.Enabled, _msi.Line.Event);
    }

    internal override void Reset()
    {
        _interrupts.Stop();
        // Without a reset of its own the device at least stops to reach memory.
        _config.Write(CommandOffset, 2, PciHeader0.Bits.CommandMemorySpace);
        _ = _device.Reset();
        base.Reset();
        _command = uint.MaxValue;
        WriteCommand();
        _interrupts.UseLine();
    }

    /// <summary>Stops the device's DMA, resets it and gives it back to the kernel. No vCPU runs any more, or it is not plugged in.</summary>
    public override void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _line?.Remove(this);
        _interrupts.Stop();
        _config.Write(CommandOffset, 2, 0);
        _ = _device.Reset();
        _device.Dispose();
        _msix?.Dispose();
        _msi?.Dispose();
        Owned?.Dispose();
    }

    private static uint CommandOffset { get; } = Array.Find(PciHeader0.Catalog.Registers, static r => r.Name == "Command")!.Offset;

    // The hardware decodes always, as trapped accesses need it; where the guest finds the BARs is PciRoot's affair.
    private void WriteCommand()
    {
        ushort guest = Page.Load<ushort>(CommandOffset);
        uint command = PciHeader0.Bits.CommandMemorySpace | (guest & (uint)(PciHeader0.Bits.CommandBusMaster | PciHeader0.Bits.CommandInterruptDisable));
        if (command == _command) return;
        _command = command;
        _config.Write(CommandOffset, 2, command);
    }
}
