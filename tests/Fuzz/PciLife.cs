using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Pci;
using MicroVm.Tests.Pci;
using MicroVm.Tests.Vfio;
using MicroVm.Vfio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Rng;

namespace MicroVm.Fuzz;

/// <summary>A machine's PCI part with functions of all kinds: virtio, hardware of the host, root ports, some of them
/// plugged in and out. What a guest does to it is <see cref="PciSteps"/>.</summary>
internal sealed class PciLife : IDisposable
{
    /// <summary>Where messages are written to.</summary>
    internal const ulong Apic = 0xfee0_0000;
    /// <summary>Root ports.</summary>
    internal const int Ports = 2;
    /// <summary>Kinds of functions: virtio of two, and hardware with a BAR of five sizes.</summary>
    internal const int Kinds = 7;
    private const ulong HardwareTable = 0x2000, HardwarePending = 0x3000;

    // Offsets of the registers that make a port's windows.
    private static readonly uint[] s_windows = [0x20, 0x24, 0x28, 0x2c];

    private readonly EventLoop _loop;
    private readonly uint[][] _windows;

    internal PciLife(EventLoop loop, Random random)
    {
        _loop = loop;
        Guest = new PciGuest(Ports, Kvm);
        _windows = [.. Guest.Host.Ports.Select(p => Array.ConvertAll(s_windows, at => Guest.Slot(p.Address, at)))];
        Rng = (VirtioPciFunction)Plug(0);
        Home = Guest.Enable(Rng);
        for (int i = 0; i < 4; i++) _ = Plug(random.Next(Kinds));
        if (random.Next(2) == 0) HotPlug(1, random.Next(Kinds));
    }

    internal FakeKvm Kvm { get; } = new();

    internal PciGuest Guest { get; }

    /// <summary>Is there to the end.</summary>
    internal VirtioPciFunction Rng { get; }

    /// <summary>Where its BAR was at first.</summary>
    internal ulong Home { get; }

    internal PciFunction[] Functions => Guest.Host.Root.Functions;

    public void Dispose() => Guest.Dispose();

    /// <summary>The vectors of a function, or null.</summary>
    internal static MsixTable? TableOf(PciFunction f) => f switch
    {
        VirtioPciFunction virtio => virtio.Msix,
        VfioFunction hardware => hardware.Msix,
        _ => null,
    };

    /// <summary>Where they are in the guest, or null while the BAR is not decoded.</summary>
    internal static ulong? TableAt(PciFunction f) =>
        f.Bars[0].Address + (f is VirtioPciFunction ? (ulong)VirtioPciConst.TableOffset : HardwareTable);

    /// <summary>The same of the pending bits.</summary>
    internal static ulong? PendingAt(PciFunction f) =>
        f.Bars[0].Address + (f is VirtioPciFunction ? (ulong)VirtioPciConst.PbaOffset : HardwarePending);

    /// <summary>Offset of a capability, found as a guest finds it; 0 without one.</summary>
    internal uint Capability(PciFunction f, byte id) => Config.Walk(Guest, f.Address).Find(c => c.Id == id).At;

    /// <summary>The windows of a port as they were at first, as a guest puts them back.</summary>
    internal void Restore(int port)
    {
        PciAddress address = Guest.Host.Ports[port].Address;
        for (int i = 0; i < s_windows.Length; i++) Guest.WriteConfig(address, s_windows[i], 4, _windows[port][i]);
    }

    /// <summary>Puts something of a kind into a slot that is empty, or takes out what is there.</summary>
    internal void HotPlug(int port, int kind)
    {
        if (Guest.Host.Behind(port) is { } there) Guest.Host.Unplug(there);
        else _ = Plug(kind, port);
    }

    private PciFunction Plug(int kind, int port = 0)
    {
        PciAddress address = port == 0 ? Guest.Host.NextAddress() : Guest.Host.AddressBehind(port);
        if (kind == 0) return Guest.Plug(new VirtioRngDevice(_loop), address);
        if (kind == 1) return Guest.Plug(new VirtioConsoleDevice(_loop, (OutputPump?)null, (80, 25)), address);
        VfioFunction function = new(
            address, Guest.Host.Page(address), "host", Hardware(kind - 2), Guest.Router, Guest.Host.Line, Guest.Errors);
        Guest.Host.Plug(function);
        return function;
    }

    // A BAR of 64 bits with an MSI-X table, a pin, and capabilities for MSI-X, MSI, power and PCI Express.
    private static FakeVfioDevice Hardware(int sizeShift)
    {
        FakeVfioDevice hardware = new();
        hardware.Set(0, 0x36, 0x1b, 0x10, 0x00, 0, 0, 0x10, 0, 2, 2, 8, 1);
        hardware.Set(0x10, 0x04);
        hardware.Set(0x34, 0x40);
        hardware.Set(0x3d, 1);
        hardware.Set(0x40, 0x11, 0x50, 0x03);
        hardware.Set(0x45, (byte)(HardwareTable >> 8));
        hardware.Set(0x49, (byte)(HardwarePending >> 8));
        hardware.Set(0x50, 0x05, 0x60, 0x80);
        hardware.Set(0x60, 0x01, 0x70, 0x03);
        hardware.Set(0x70, 0x10, 0x00, 0x02);
        _ = hardware.AddBar(0, 0x4000 << sizeShift);
        return hardware;
    }
}
