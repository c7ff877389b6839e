using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Pci;
using MicroVm.Tests.Pci;
using MicroVm.Tests.Virtio;
using static MicroVm.Devices.VirtioPciCommon.Bits;

namespace MicroVm.Fuzz;

/// <summary>The PCI transport under a hostile guest: after each thing that it does <see cref="PciChecks"/> hold, and an
/// honest driver is served at the end.</summary>
public sealed class PciFuzz
{
    private const int Steps = 150;
    private const ulong Ring = 0x10_0000, Data = 0x20_0000;
    private const int On = PciHeader0.Bits.CommandMemorySpace | PciHeader0.Bits.CommandBusMaster;

    [Fact]
    public void P3_transport()
    {
        using EventLoop loop = new("fuzz", ThreadOwner.Process);
        Reach reach = new(
            "decoded", "moved", "hidden by another", "vectors connected", "vectors kept", "vectors delivered");
        FuzzRun.Run("pci", random =>
        {
            using PciLife life = new(loop, random);
            DecodeAll(life);
            for (int step = 0; step < Steps; step++)
            {
                life.Step(new Random(random.Next()));
                PciChecks.Bars(life, reach);
                PciChecks.Vectors(life, reach);
                if (step % 10 == 0) PciChecks.Shadow(life, random);
                if (step % 10 == 5) PciChecks.Signal(life, random, reach);
            }
            // What came and went left nothing: GSIs and slots are used again.
            Assert.InRange(life.Guest.Router.GsiCount, 0, 64);
            Assert.InRange(life.Kvm.SlotsEver, 0u, 16u);
            foreach (PciFunction f in life.Functions) Size(life, f);
            Serve(life);
        }, reach: reach);
    }

    // Where they are put at first each has a place of its own.
    private static void DecodeAll(PciLife life)
    {
        foreach (PciFunction f in life.Functions)
        {
            life.Guest.Command(f, On);
            foreach (PciBar bar in f.Bars) Assert.NotNull(bar.Address);
        }
        PciChecks.Bars(life, null);
    }

    // As a guest does it: decoding off, ones, and what stays of them is the size.
    private static void Size(PciLife life, PciFunction f)
    {
        life.Guest.Command(f, 0);
        foreach (PciBar bar in f.Bars)
        {
            uint at = Config.Bar + (uint)bar.Index * 4;
            life.Guest.WriteConfig(f.Address, at, 8, ulong.MaxValue);
            ulong mask = life.Guest.Slot(f.Address, at) & ~0xful | (ulong)life.Guest.Slot(f.Address, at + 4) << 32;
            Assert.Equal(bar.Size, 0 - mask);
            life.Guest.Command(f, On);
            Assert.Null(bar.Address);
            life.Guest.Command(f, 0);
            PciChecks.Bars(life, null);
        }
    }

    // Nobody else decodes any more.
    private static void Serve(PciLife life)
    {
        PciGuest guest = life.Guest;
        guest.WriteConfig(life.Rng.Address, Config.Bar, 8, life.Home);
        guest.Command(life.Rng, On);
        Assert.Equal(life.Home, life.Rng.Bars[0].Address);
        Assert.True(guest.Memory.TryRange(Ring, 0x4000, out Memory.HostRange ring));
        ring.Span.Clear();
        guest.WriteConfig(life.Rng.Address, life.Capability(life.Rng, 0x11) + 2, 2, 0x8000);
        guest.Write(PciLife.TableAt(life.Rng)!.Value + 16, 8, PciLife.Apic);
        guest.Write(PciLife.TableAt(life.Rng)!.Value + 24, 8, 0x41);
        const uint found = StatusAcknowledge | StatusDriver, agreed = found | StatusFeaturesOk;
        foreach (ulong status in (ulong[])[0, StatusAcknowledge, found]) Write("Status", 1, status);
        Write("DriverFeatureSelect", 4, 1);
        Write("DriverFeature", 4, 1);
        Write("Status", 1, agreed);
        Write("QueueSelect", 2, 0);
        Write("QueueVector", 2, 1);
        Write("QueueSize", 2, 8);
        ulong at = Ring;
        foreach (string name in (string[])["QueueDesc", "QueueDriver", "QueueDevice"])
        {
            Write(name, 4, at);
            guest.Write(life.Home + Offset(name) + 4, 4, 0);
            at += 0x1000;
        }
        Write("QueueEnable", 2, 1);
        Write("Status", 1, agreed | StatusDriverOk);
        ring.Store(0, new VirtqDesc { Addr = Data, Len = 64, Flags = (ushort)VirtqDescFlags.Write });
        ring.StoreIndex(0x1002, 1);
        uint gsi = life.Rng.Msix.Gsi(1)!.Value;
        long before = life.Kvm.Delivered.GetValueOrDefault(gsi);
        guest.Write(life.Home + VirtioPciConst.NotifyOffset, 2, 0);
        Assert.True(GuestDriver.Eventually(() => ring.LoadIndex(0x2002) == 1), "an honest request was not answered");
        Assert.True(GuestDriver.Eventually(Interrupted), "its interrupt did not come");

        bool Interrupted()
        {
            life.Kvm.Take(guest.Router.Look(gsi).Line!.Event.Fd);
            return life.Kvm.Delivered.GetValueOrDefault(gsi) > before;
        }

        void Write(string name, int width, ulong value) => guest.Write(life.Home + Offset(name), width, value);
    }

    private static uint Offset(string register) =>
        Array.Find(VirtioPciCommon.Catalog.Registers, r => r.Name == register)!.Offset;
}
