using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;
using Xunit;

namespace MicroVm.Tests.Pci;

/// <summary>A machine's PCI part on a real KVM, or on one that only keeps what it is told, and a guest without a CPU:
/// its accesses go through the bus as a vCPU's do.</summary>
internal sealed class PciGuest : IDisposable
{
    // With room for the pin of a virtio-mmio device beside it.
    internal const int Pins = 8, LinePin = 3;

    private readonly InterruptLine _line = new(LinePin);

    private readonly KvmVm? _vm;
    private readonly GuestBus _bus;

    internal PciGuest(int rootPorts = 0, FakeKvm? fake = null)
    {
        if (fake is null)
        {
            using KvmSystem kvm = KvmSystem.Open();
            _vm = kvm.CreateVm();
        }
        IGuestSpace space = fake is null ? Vm : fake;
        Memory = GuestMemory.Allocate(64 << 20, MachineMap.LowMemory.End, MachineMap.HighMemory.Start);
        foreach (MemoryRegion region in Memory.Regions)
            space.AddMemory(region.GuestAddress, region.Length, region.HostAddress);
        Host = new PciHost(space, Mmio, rootPorts);
        _vm?.SplitIrqchip(Pins);
        Router = new InterruptRouter(fake is null ? Vm : fake, Pins);
        Router.Attach(_line);
        IoApic = new IoApic(Router, Pins);
        Host.Line = new IntxLine(_line);
        IoApic.LevelEnded = Host.Line.Ended;
        _bus = new GuestBus(Mmio, new AccessTrace(), Errors, null);
    }

    internal AddressSpace Mmio { get; } = new("mmio");
    internal GuestErrors Errors { get; } = new(null);
    internal GuestMemory Memory { get; }
    internal PciHost Host { get; }
    internal InterruptRouter Router { get; }
    internal IoApic IoApic { get; }

    /// <summary>Signals of the line that nobody took so far: its pin is masked here.</summary>
    internal ulong TakeLine() => _line.Event.Drain();

    internal KvmVm Vm => _vm ?? throw new InvalidOperationException("no real KVM here");

    internal uint SlotsEver => Vm.SlotsEver;

    /// <summary>Plugs a virtio device in; at <paramref name="at"/>, or at the next place of bus 0.</summary>
    internal VirtioPciFunction Plug(VirtioDevice device, PciAddress? at = null)
    {
        PciAddress address = at ?? Host.NextAddress();
        VirtioPciFunction function = new(address, Host.Page(address), device, Memory, Router, Host.Line, Errors);
        Host.Plug(function);
        return function;
    }

    internal ulong Read(ulong address, int width) => _bus.Read(0, address, width);

    internal void Write(ulong address, int width, ulong value) => _bus.Write(0, address, width, value);

    /// <summary>Reads configuration space as the guest does: from the slot's memory.</summary>
    internal unsafe uint Slot(PciAddress function, uint offset) => *(uint*)(Host.Root.Ecam.HostAddress + (nint)function.EcamOffset + (nint)offset);

    internal void WriteConfig(PciAddress function, uint offset, int width, ulong value) => Write(ConfigAddress(function) + offset, width, value);

    internal static ulong ConfigAddress(PciAddress function) => MachineMap.Ecam.Start + function.EcamOffset;

    /// <summary>Sets the command register.</summary>
    internal void Command(PciFunction function, int bits) => WriteConfig(function.Address, Config.Command, 2, (ulong)bits);

    /// <summary>Memory space and bus master on, and where BAR 0 then is.</summary>
    internal ulong Enable(PciFunction function)
    {
        Command(function, PciHeader0.Bits.CommandMemorySpace | PciHeader0.Bits.CommandBusMaster);
        return function.Bars[0].Address!.Value;
    }

    public void Dispose()
    {
        Host.Dispose();
        _vm?.Dispose();
        _line.Dispose();
        Memory.Dispose();
    }
}

/// <summary>Offsets of configuration space, from the declaration.</summary>
internal static class Config
{
    internal static uint Command { get; } = Offset("Command");
    internal static uint Status { get; } = Offset("Status");
    internal static uint Bar { get; } = Offset("Bar");
    internal static uint Pointer { get; } = Offset("CapabilityPointer");

    internal static uint Offset(string name) => Array.Find(PciHeader0.Catalog.Registers, r => r.Name == name)!.Offset;

    /// <summary>Walks the list as a guest does: (offset, id) of each capability, at most 48 of them.</summary>
    internal static List<(uint At, byte Id)> Walk(PciGuest guest, PciAddress function)
    {
        List<(uint, byte)> found = [];
        uint at = guest.Slot(function, Pointer) & 0xfc;
        for (int i = 0; at != 0 && i < 48; i++)
        {
            uint head = guest.Slot(function, at);
            found.Add((at, (byte)head));
            at = (head >> 8) & 0xfc;
        }
        return found;
    }
}
