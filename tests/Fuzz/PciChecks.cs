using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Tests.Pci;
using MicroVm.Vfio;
using MicroVm.Virtio.Pci;

namespace MicroVm.Fuzz;

/// <summary>What must hold of a machine's PCI part whatever the guest has done to it: KVM has what the registers say
/// that the guest reads, no more and no less.</summary>
internal static class PciChecks
{
    /// <summary>Memory slots, doorbells and who answers where are those of the BARs that are decoded, and no two of
    /// these overlap.</summary>
    internal static void Bars(PciLife life, Reach? reach)
    {
        List<(ulong Start, ulong End)> decoded = [];
        HashSet<(ulong, ulong, nint, bool)> slots = [];
        HashSet<(ulong, uint, ulong?, int)> doorbells = [];
        HashSet<(ulong, IRegisterBlock)> blocks = [];
        foreach (MemoryRegion ram in life.Guest.Memory.Regions)
            slots.Add((ram.GuestAddress, ram.Length, ram.HostAddress, false));
        EcamArea ecam = life.Guest.Host.Root.Ecam;
        slots.Add((MachineMap.Ecam.Start, ecam.Length, ecam.HostAddress, true));
        foreach (PciFunction f in life.Functions)
        {
            blocks.Add((MachineMap.Ecam.Start + f.Address.EcamOffset, f));
            foreach (PciBar bar in f.Bars)
            {
                if (bar.Address is not { } at) continue;
                Assert.Equal(Wanted(life, f, bar), at);
                Assert.DoesNotContain(decoded, d => at < d.End && d.Start < at + bar.Size);
                decoded.Add((at, at + bar.Size));
                reach?.Add("decoded");
                if (at != life.Home && f == life.Rng) reach?.Add("moved");
                foreach (BarRegion region in bar.Regions)
                {
                    ulong place = at + region.Offset;
                    if (region is BarRegion.Registers r) blocks.Add((place, r.Block));
                    else if (region is BarRegion.Doorbell d) doorbells.Add((place, d.Width, d.Match, d.Event.Fd));
                    else if (region is BarRegion.Memory m) slots.Add((place, m.Length, m.HostAddress, m.ReadOnly));
                }
            }
        }
        foreach (PciFunction f in life.Functions)
        {
            foreach (PciBar bar in f.Bars)
            {
                // Nowhere, though it has a place: then another is there.
                if (bar.Address is not null || Wanted(life, f, bar) is not { } place) continue;
                Assert.Contains(decoded, d => place < d.End && d.Start < place + bar.Size);
                reach?.Add("hidden by another");
            }
        }
        var told = life.Kvm.Slots.Values.Select(static s => (s.GuestAddress, s.Length, s.HostAddress, s.ReadOnly));
        Assert.Equal(slots, [.. told]);
        Assert.Equal(doorbells, life.Kvm.Doorbells);
        Assert.Equal(blocks, [.. life.Guest.Mmio.Entries.ToArray().Select(static e => (e.Start, e.Block))]);
    }

    // By what the guest reads in configuration space; but what asks for a size is not an address, and reads like one.
    private static ulong? Wanted(PciLife life, PciFunction f, PciBar bar)
    {
        uint Slot(PciFunction of, uint at) => life.Guest.Slot(of.Address, at);
        uint register = Config.Bar + (uint)bar.Index * 4;
        if ((Slot(f, Config.Command) & PciHeader0.Bits.CommandMemorySpace) == 0) return null;
        if (f.Programmed(bar) is not { } first) return null;
        Assert.Equal((Slot(f, register) & ~0xful) | (bar.Is64 ? (ulong)Slot(f, register + 4) << 32 : 0), first);
        ulong last = first + bar.Size - 1;
        bool inWindow = Inside(first, last, MachineMap.PciLow.Start, MachineMap.PciLow.End - 1)
            || Inside(first, last, MachineMap.PciHigh.Start, MachineMap.PciHigh.End - 1);
        if (!inWindow) return null;
        if (life.Guest.Host.PortOf(f.Address.Bus) is not { } port) return first;
        if ((Slot(port, Config.Command) & PciHeader1.Bits.CommandMemorySpace) == 0) return null;
        // Base in the lower half of a register, limit in the upper, each a multiple of a MiB.
        ulong low = (ulong)(Slot(port, 0x20) & 0xfff0) << 16, lowLast = (Slot(port, 0x20) & 0xfff0_0000) | 0xf_ffff;
        ulong high = (ulong)Slot(port, 0x28) << 32 | (ulong)(Slot(port, 0x24) & 0xfff0) << 16;
        ulong highLast = (ulong)Slot(port, 0x2c) << 32 | (Slot(port, 0x24) & 0xfff0_0000) | 0xf_ffff;
        return Inside(first, last, low, lowLast) || Inside(first, last, high, highLast) ? first : null;
    }

    private static bool Inside(ulong first, ulong last, ulong from, ulong to) =>
        first <= last && first >= from && last <= to;

    /// <summary>An event is connected while all that can mask it is open, and the route of its GSI is the message that
    /// the guest wrote.</summary>
    internal static void Vectors(PciLife life, Reach reach)
    {
        Dictionary<int, uint> connected = [];
        foreach (PciFunction f in life.Functions)
        {
            bool master = (life.Guest.Slot(f.Address, Config.Command) & PciHeader0.Bits.CommandBusMaster) != 0;
            if (PciLife.TableOf(f) is { } table)
            {
                bool on = master && life.Guest.Slot(f.Address, life.Capability(f, 0x11)) >> 30 == 2;
                for (int v = 0; v < table.Count; v++)
                {
                    // A virtio function takes what its driver assigns to a queue, or to the configuration.
                    bool isNamed = f is not VirtioPciFunction virtio || virtio.Common.EventsOf(v) != "nothing";
                    if (table.Gsi(v) is null && !isNamed) continue;
                    Expect(table.Gsi(v), table.Entries[v].Message, on && !table.Entries[v].Masked);
                }
            }
            if (f is not VfioFunction { Msi: { } msi }) continue;
            uint Msi(uint offset) => life.Guest.Slot(f.Address, life.Capability(f, 0x05) + offset);
            MsiMessage message = new(Msi(4) | (ulong)Msi(8) << 32, (ushort)Msi(12));
            Expect(msi.Line.Gsi, message, master && (Msi(0) >> 16 & 1) != 0);
        }
        Assert.Equal(connected, life.Kvm.Connected);

        void Expect(uint? gsi, MsiMessage message, bool open)
        {
            open &= message.IsInterrupt;
            Assert.False(open && gsi is null, "a vector that is open has no line");
            if (gsi is not { } number || !open) return;
            Assert.Equal(message, life.Kvm.Routes[number]);
            connected.Add(life.Guest.Router.Look(number).Line!.Event.Fd, number);
            reach.Add("vectors connected");
        }
    }

    /// <summary>A read, which exits only where there is no slot, gives what the slot has; and a block what its page
    /// has.</summary>
    internal static void Shadow(PciLife life, Random random)
    {
        PciFunction f = life.Functions[random.Next(life.Functions.Length)];
        foreach ((uint start, IRegisterBlock block) in f.Parts)
        {
            for (uint at = 0; at + 4 <= block.Info.Size; at += 4)
            {
                if (block.Read(at, 4, out ulong value) == IoStatus.Ok) Assert.Equal(Slot(start + at), (uint)value);
            }
        }
        for (uint at = 0; at < 0x140; at++)
        {
            ulong dwords = Slot(at & ~3u) | (ulong)Slot((at & ~3u) + 4) << 32;
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                ulong slot = at % width != 0 ? ulong.MaxValue : dwords >> (int)(at % 4 * 8);
                ulong mask = ulong.MaxValue >> (64 - 8 * width);
                Assert.Equal(slot & mask, life.Guest.Read(PciGuest.ConfigAddress(f.Address) + at, width));
            }
        }

        uint Slot(uint at) => life.Guest.Slot(f.Address, at);
    }

    /// <summary>A signal becomes one message: at once, or when the vector is opened.</summary>
    internal static void Signal(PciLife life, Random random, Reach reach)
    {
        PciFunction f = life.Functions[random.Next(life.Functions.Length)];
        if (PciLife.TableOf(f) is not { } table || PciLife.TableAt(f) is not { } at) return;
        int v = random.Next(table.Count);
        if (!table.TryTake(v)) throw new InvalidOperationException($"vector {v} is not to be had");
        table.Raise(v);
        uint gsi = table.Gsi(v)!.Value;
        int fd = life.Guest.Router.Look(gsi).Line!.Event.Fd;
        ulong entry = at + (ulong)v * 16, pending = PciLife.PendingAt(f)!.Value;
        long before = life.Kvm.Delivered.GetValueOrDefault(gsi);
        if (life.Kvm.Connected.ContainsKey(fd)) life.Kvm.Take(fd);
        else
        {
            reach.Add("vectors kept");
            Assert.Equal(1ul, life.Guest.Read(pending, 8) >> v & 1);
            life.Guest.Write(entry, 8, PciLife.Apic);
            life.Guest.Write(entry + 8, 8, 0x41);
            life.Guest.WriteConfig(f.Address, life.Capability(f, 0x11) + 2, 2, 0x8000);
            life.Guest.Command(f, PciHeader0.Bits.CommandMemorySpace | PciHeader0.Bits.CommandBusMaster);
        }
        Assert.Equal(before + 1, life.Kvm.Delivered[gsi]);
        reach.Add("vectors delivered");
        Assert.Equal(0ul, life.Guest.Read(pending, 8) >> v & 1);
        life.Guest.Write(entry + 12, 4, 1);
        Assert.False(table.IsPending(v), "what was delivered is pending");
    }
}
