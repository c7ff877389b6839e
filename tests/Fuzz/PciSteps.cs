using MicroVm.Devices;
using MicroVm.Pci;
using MicroVm.Tests.Pci;

namespace MicroVm.Fuzz;

/// <summary>What a hostile guest does to PCI: configuration space, BARs, vectors, the window, the registers behind the
/// BARs; and what is done to it, hot-plug.</summary>
internal static class PciSteps
{
    private const int On = PciHeader0.Bits.CommandMemorySpace | PciHeader0.Bits.CommandBusMaster;

    private static readonly int[] s_widths = [1, 2, 4, 4, 4, 8];
    private static readonly ulong[] s_notForBars =
    [
        0, 0x10_0000, MachineMap.Ecam.Start, MachineMap.Ioapic.Base, PciLife.Apic, MachineMap.PciHigh.End - 0x4000,
        MachineMap.Virtio.Base,
    ];
    private static readonly byte[] s_statuses = [0, 1, 3, 11, 15];

    /// <summary>One of these things.</summary>
    internal static void Step(this PciLife life, Random random)
    {
        PciFunction[] functions = life.Functions;
        PciFunction f = functions[random.Next(functions.Length)];
        switch (random.Next(20))
        {
            case 0: life.Config(f, (uint)random.Next(0x120), Width(random), Value(random)); break;
            case 1: life.Config(f, (uint)random.Next(0x1000), random.Next(1, 9), Value(random)); break;
            case 2 or 3: Move(life, random, f, functions[random.Next(functions.Length)]); break;
            case 4: life.Config(f, Tests.Pci.Config.Command, 2, (ulong)random.Next(0x800)); break;
            case 5: life.Config(f, Tests.Pci.Config.Command, 2, On); break;
            case 6 or 7: SwitchMessages(life, random, f); break;
            case 8 or 9: WriteEntry(life, random, f); break;
            case 10: PciLife.TableOf(f)?.Raise(random.Next(6) == 0 ? random.Next(0x10000) : random.Next(3)); break;
            case 11 or 12: UseWindow(life, random, f); break;
            case 13 or 14 or 15: UseBar(life, random, f); break;
            case 16: UseAnything(life, random); break;
            case 17: UseBridge(life, random); break;
            case 18: life.HotPlug(random.Next(PciLife.Ports) + 1, random.Next(PciLife.Kinds)); break;
            default: life.Guest.Host.Line!.Ended(random.Next(PciGuest.Pins)); break;
        }
    }

    private static void Config(this PciLife life, PciFunction f, uint offset, int width, ulong value) =>
        life.Guest.WriteConfig(f.Address, offset, width, value);

    // Whole, in halves, in part, or only asked for its size.
    private static void Move(PciLife life, Random random, PciFunction f, PciFunction other)
    {
        uint bar = Tests.Pci.Config.Bar + (random.Next(2) == 0 ? 0 : (uint)random.Next(6) * 4);
        ulong occupied = other.Bars.Count == 0 ? life.Home : other.Bars[0].Address ?? life.Home;
        ulong address = random.Next(8) switch
        {
            0 => ulong.MaxValue,
            1 => (ulong)random.NextInt64(),
            2 => occupied + (ulong)random.Next(-1, 2) * 0x2000,
            3 => s_notForBars[random.Next(s_notForBars.Length)],
            < 6 => MachineMap.PciLow.Start + (ulong)random.Next(64) * 0x4000,
            _ => MachineMap.PciHigh.Start + (ulong)random.Next(64) * 0x4000,
        };
        int how = random.Next(5);
        if (how == 0) life.Config(f, bar, Width(random), address);
        else if (how == 1) life.Config(f, bar, 8, address);
        else
        {
            if (how != 2) life.Config(f, bar, 4, address);
            life.Config(f, bar + 4, 4, address >> 32);
        }
    }

    private static void SwitchMessages(PciLife life, Random random, PciFunction f)
    {
        ulong control = random.Next(6) switch { 0 => Value(random), 1 => 0xc000, 2 => 0, _ => 0x8000 };
        if (life.Capability(f, 0x11) is var at and not 0) life.Config(f, at + 2, 2, control);
        if (random.Next(2) != 0 || life.Capability(f, 0x05) is not (var msi and not 0)) return;
        life.Config(f, msi + (uint)random.Next(4) * 4, 4, random.Next(2) == 0 ? PciLife.Apic | 1 << 16 : Value(random));
    }

    private static void WriteEntry(PciLife life, Random random, PciFunction f)
    {
        if (PciLife.TableOf(f) is not { } table || PciLife.TableAt(f) is not { } at) return;
        ulong entry = at + (ulong)random.Next(table.Count) * 16, address = PciLife.Apic | (uint)random.Next(4) << 12;
        switch (random.Next(6))
        {
            case 0: life.Guest.Write(entry + (ulong)random.Next(20), random.Next(1, 9), Value(random)); break;
            case 1: life.Guest.Write(entry, 8, random.Next(3) == 0 ? Value(random) : address); break;
            case 2: life.Guest.Write(entry + 8, 8, (ulong)random.NextInt64(1L << 33)); break;
            default:
                life.Guest.Write(entry, 8, address);
                life.Guest.Write(entry + 8, 4, (ulong)random.Next(0x20, 0x100));
                life.Guest.Write(entry + 12, 4, (ulong)random.Next(2));
                break;
        }
    }

    private static void UseWindow(PciLife life, Random random, PciFunction f)
    {
        uint at = Tests.Pci.Config.Walk(life.Guest, f.Address).Find(IsWindow).At;
        if (at == 0) return;
        int width = 1 << random.Next(3);
        uint offset = random.Next(4) == 0 ? (uint)Value(random) : (uint)random.Next(0x140);
        if (random.Next(4) == 0) offset = VirtioPciConst.NotifyOffset;
        if (random.Next(4) != 0) offset &= ~((uint)width - 1);
        life.Config(f, at + 4, 1, (ulong)(random.Next(8) == 0 ? random.Next(256) : 0));
        life.Config(f, at + 8, 4, offset);
        life.Config(f, at + 12, 4, random.Next(8) == 0 ? Value(random) : (ulong)width);
        uint data = at + 16 + (uint)random.Next(4) / 3;
        if (random.Next(2) == 0) life.Config(f, data, random.Next(6) == 0 ? 4 : width, Value(random));

        bool IsWindow((uint At, byte Id) c) =>
            c.Id == 9 && life.Guest.Slot(f.Address, c.At) >> 24 == (uint)VirtioPciCapType.Window;
    }

    // What stands behind a BAR: mostly the registers that drivers use, in any order and with any value.
    private static void UseBar(PciLife life, Random random, PciFunction f)
    {
        if (f.Bars.Count == 0 || f.Bars[0].Address is not { } bar) return;
        ulong at = bar + (ulong)random.Next(random.Next(4) == 0 ? (int)f.Bars[0].Size + 8 : 0x120);
        int width = random.Next(6) == 0 ? random.Next(1, 9) : Width(random);
        if (random.Next(2) == 0) at &= ~((ulong)width - 1);
        Access(life, random, at, width);
        if (random.Next(4) == 0) life.Guest.Write(bar + 0x14, 1, s_statuses[random.Next(s_statuses.Length)]);
        ulong doorbell = bar + VirtioPciConst.NotifyOffset + (ulong)random.Next(8) * 4;
        if (random.Next(8) == 0) life.Guest.Write(doorbell, 2, Value(random));
    }

    private static void UseAnything(PciLife life, Random random) => Access(life, random, random.Next(4) switch
    {
        0 => MachineMap.Ecam.Start + (ulong)random.NextInt64((long)MachineMap.Ecam.Length),
        1 => MachineMap.PciLow.Start + (ulong)random.Next(0x10_0000),
        2 => MachineMap.PciHigh.Start + (ulong)random.Next(0x10_0000),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    }, random.Next(1, 9));

    private static void Access(PciLife life, Random random, ulong at, int width)
    {
        if (random.Next(2) == 0) _ = life.Guest.Read(at, width);
        else life.Guest.Write(at, width, Value(random));
    }

    private static void UseBridge(PciLife life, Random random)
    {
        int which = random.Next(PciLife.Ports);
        RootPort port = life.Guest.Host.Ports[which];
        uint control = Array.Find(PciHeader1.Catalog.Registers, static r => r.Name == "BridgeControl")!.Offset;
        if (random.Next(3) == 0) life.Config(port, control, 2, PciHeader1.Bits.BridgeControlSecondaryReset);
        else if (random.Next(2) == 0) life.Restore(which);
        else life.Config(port, 0x20u + (uint)random.Next(8) * 2, 2 << random.Next(2), Value(random));
    }

    private static int Width(Random random) => s_widths[random.Next(s_widths.Length)];

    private static ulong Value(Random random) => random.Next(5) switch
    {
        0 => (ulong)random.Next(16),
        1 => 1ul << random.Next(64),
        2 => ulong.MaxValue,
        3 => 0,
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };
}
