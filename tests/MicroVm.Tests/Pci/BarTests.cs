using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Pci;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Rng;
using Xunit;

namespace MicroVm.Tests.Pci;

/// <summary>Rows P3, P4 and the leak half of P6: BARs that move, decoding and bus mastering.</summary>
public sealed class BarTests : IDisposable
{
    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly PciGuest _guest = new(rootPorts: 1);
    private readonly VirtioPciFunction _first, _second;
    private readonly ulong _home;

    public BarTests()
    {
        _first = _guest.Plug(new VirtioRngDevice(_loop));
        _second = _guest.Plug(new VirtioRngDevice(_loop));
        _home = _guest.Enable(_first);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [KvmFact]
    public void P3_a_bar_moved_where_it_may_not_be_is_nowhere_and_comes_back()
    {
        ulong other = _guest.Enable(_second);
        Assert.True(_guest.Memory.TryWrite(0x10_0000, 0x0123_4567_89ab_cdeful));
        ulong[] forbidden =
        [
            0, 0x4000, 0x10_0000, MachineMap.Ecam.Start, MachineMap.Ecam.End - 0x4000, MachineMap.Ioapic.Base, MachineMap.Ged.Base, 0xfee0_0000, 0xfed0_0000,
            MachineMap.Virtio.Base, other, other & ~0x3fffUL, MachineMap.PciHigh.End, 1UL << 52, 0xffff_ffff_ffff_c000, 0xffff_c000,
        ];
        foreach (ulong address in forbidden)
        {
            foreach (bool decoding in (bool[])[true, false])
            {
                if (!decoding) _guest.Command(_first, 0);
                Move(_first, address);
                _guest.Command(_first, PciHeader0.Bits.CommandMemorySpace | PciHeader0.Bits.CommandBusMaster);
                Assert.Null(_first.Bars[0].Address);
                Assert.Equal(uint.MaxValue, _guest.Read(_home, 4));
                Assert.Equal(other, _second.Bars[0].Address);
                Assert.True(_guest.Memory.TryRead(0x10_0000, out ulong ram));
                Assert.Equal(0x0123_4567_89ab_cdeful, ram);
                Move(_first, _home);
                Assert.Equal(_home, _first.Bars[0].Address);
                Assert.NotEqual(uint.MaxValue, _guest.Read(_home, 4));
            }
        }
    }

    [KvmFact]
    public void P3_a_bar_moves_with_registers_and_doorbells()
    {
        foreach (ulong address in (ulong[])[MachineMap.PciLow.Start + 0x100_0000, MachineMap.PciHigh.Start + 0x10_0000_0000, MachineMap.PciHigh.End - 0x4000])
        {
            Move(_first, address);
            Assert.Equal(address, _first.Bars[0].Address);
            Assert.Equal(1u, _guest.Read(address + 0x12, 2));
            Assert.Equal(uint.MaxValue, _guest.Read(_home, 4));
        }
        // The place that it left is free for the other.
        _guest.Enable(_second);
        Move(_second, _home);
        Assert.Equal(_home, _second.Bars[0].Address);
        // Where somebody was, the next one comes in as soon as he goes.
        Move(_first, _home);
        Assert.Null(_first.Bars[0].Address);
        _guest.Command(_second, 0);
        Assert.Equal(_home, _first.Bars[0].Address);
    }

    [KvmFact]
    public void P3_behind_a_port_only_its_windows_lead_to_a_bar()
    {
        VirtioPciFunction behind = _guest.Plug(new VirtioRngDevice(_loop), new PciAddress(1, 0, 0));
        RootPort port = _guest.Host.Ports[0];
        _guest.Command(behind, PciHeader0.Bits.CommandMemorySpace);
        Assert.Null(behind.Bars[0].Address);
        _guest.Command(port, PciHeader1.Bits.CommandMemorySpace);
        ulong at = behind.Bars[0].Address!.Value;
        Assert.Equal(1u, _guest.Read(at + 0x12, 2));
        Move(behind, _home + 0x10_0000_0000);
        Assert.Null(behind.Bars[0].Address);
        Move(behind, at);
        Assert.Equal(at, behind.Bars[0].Address);
        // The prefetchable window closed: limit below base.
        uint limit = Array.Find(PciHeader1.Catalog.Registers, r => r.Name == "PrefetchLimitHigh")!.Offset;
        _guest.WriteConfig(port.Address, limit, 4, 0);
        Assert.Null(behind.Bars[0].Address);
    }

    [KvmFact]
    public void P4_memory_space_off_takes_the_bar_away()
    {
        _guest.Command(_first, PciHeader0.Bits.CommandBusMaster);
        Assert.Null(_first.Bars[0].Address);
        Assert.Equal(uint.MaxValue, _guest.Read(_home + 0x12, 4));
        _guest.Enable(_first);
        Assert.Equal(1u, _guest.Read(_home + 0x12, 2));
    }

    [KvmFact]
    public void P6_a_hundred_thousand_moves_leak_nothing()
    {
        uint slots = _guest.SlotsEver;
        ulong[] places = [_home, MachineMap.PciLow.Start, MachineMap.PciHigh.Start + 0x1000_0000, 0x1000];
        // Where KVM is slow at memory slots, fewer: what is looked for is a leak, and one slot too many shows it.
        long end = Environment.TickCount64 + 5_000;
        int moves = 0;
        for (; moves < 100_000 && Environment.TickCount64 < end; moves++) Move(_first, places[moves % places.Length]);
        Assert.True(moves > 20, $"{moves} moves");
        Move(_first, _home);
        Assert.Equal(_home, _first.Bars[0].Address);
        Assert.Equal(slots, _guest.SlotsEver);
    }

    [KvmFact]
    public void Bus_reset_of_a_port_resets_what_is_below()
    {
        VirtioPciFunction behind = _guest.Plug(new VirtioRngDevice(_loop), new PciAddress(1, 0, 0));
        RootPort port = _guest.Host.Ports[0];
        _guest.Command(port, PciHeader1.Bits.CommandMemorySpace | PciHeader1.Bits.CommandBusMaster);
        ulong bar = _guest.Enable(behind);
        _guest.Write(bar + 0x14, 1, 1);
        uint control = Array.Find(PciHeader1.Catalog.Registers, r => r.Name == "BridgeControl")!.Offset;
        _guest.WriteConfig(port.Address, control, 2, PciHeader1.Bits.BridgeControlSecondaryReset);
        Assert.Null(behind.Bars[0].Address);
        Assert.Equal(0u, _guest.Slot(behind.Address, Config.Command) & 0xffff);
        Assert.Equal(0u, _guest.Slot(behind.Address, Config.Bar) & ~0xfu);
    }

    private void Move(PciFunction function, ulong address) => _guest.WriteConfig(function.Address, Config.Bar, 8, address);
}
