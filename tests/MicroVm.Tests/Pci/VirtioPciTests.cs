using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Rng;
using Xunit;
using static MicroVm.Devices.VirtioPciCommon.Bits;

namespace MicroVm.Tests.Pci;

/// <summary>virtio over PCI as a driver sees it: rows Q3, T5, M2 and P4, and a request from doorbell to vector.</summary>
public sealed class VirtioPciTests : IDisposable
{
    private const uint Found = StatusAcknowledge | StatusDriver, Agreed = Found | StatusFeaturesOk, Running = Agreed | StatusDriverOk;
    private const ulong Ring = 0x10_0000, Buffer = 0x20_0000;

    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly PciGuest _guest = new();
    private readonly VirtioPciFunction _rng, _console;
    private ulong _bar;

    public VirtioPciTests()
    {
        _rng = _guest.Plug(new VirtioRngDevice(_loop));
        _console = _guest.Plug(new VirtioConsoleDevice(_loop, (OutputPump?)null, (80, 25)));
        _bar = _guest.Enable(_rng);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [KvmFact]
    public void A_request_goes_from_doorbell_to_vector()
    {
        Start();
        _rng.Msix.Event(1)!.Drain();
        Request();
        Assert.True(Eventually(() => _rng.Msix.IsPending(1)));
        Assert.True(_guest.Memory.TryRead(Ring + 0x2000 + 2, out ushort used));
        Assert.Equal(1, used);
    }

    [KvmFact]
    public void Resident_page_and_registers_agree()
    {
        Start();
        foreach (uint queue in (uint[])[0, 1, 7, 0xffff])
        {
            Write("QueueSelect", 2, queue);
            foreach (Bus.RegisterInfo r in VirtioPciCommon.Catalog.Registers)
            {
                if (r.Width > 4) continue;
                Assert.Equal(_guest.Read(_bar + r.Offset, (int)r.Width), Page(r.Offset, (int)r.Width));
            }
        }
    }

    [KvmFact]
    public void Q3_queues_are_frozen_once_the_driver_is_ready()
    {
        Start();
        Write("QueueSelect", 2, 0);
        foreach ((string name, int width) in ((string, int)[])[("QueueSize", 2), ("QueueEnable", 2), ("QueueDesc", 4), ("QueueDriver", 4), ("QueueDevice", 4)])
        {
            ulong before = Read(name, width);
            Write(name, width, before ^ 0x80);
            Assert.Equal(before, Read(name, width));
        }
        // But vectors may change, and count.
        Write("QueueVector", 2, 0);
        _rng.Msix.Event(0)!.Drain();
        Request();
        Assert.True(Eventually(() => _rng.Msix.IsPending(0)));
    }

    [KvmFact]
    public void M2_a_vector_that_does_not_exist_reads_as_none()
    {
        foreach (uint vector in (uint[])[2, 3, 100, 0xfffe, 0xffff])
        {
            Write("ConfigVector", 2, vector);
            Assert.Equal(0xffffu, Read("ConfigVector", 2));
            Write("QueueSelect", 2, 0);
            Write("QueueVector", 2, vector);
            Assert.Equal(0xffffu, Read("QueueVector", 2));
        }
        Write("QueueVector", 2, 1);
        Assert.Equal(1u, Read("QueueVector", 2));
        Write("QueueSelect", 2, 9);
        Write("QueueVector", 2, 1);
        Assert.Equal(0xffffu, Read("QueueVector", 2));
        Assert.Equal(0u, Read("QueueSize", 2));
    }

    [KvmFact]
    public void P4_without_bus_master_nothing_is_read_or_written()
    {
        Start();
        _guest.Command(_rng, PciHeader0.Bits.CommandMemorySpace);
        Assert.Equal(Running | StatusNeedsReset, Read("Status", 1));
        Request();
        LoopFence.Pass(_loop);
        Assert.True(_guest.Memory.TryRead(Ring + 0x2000 + 2, out ushort used));
        Assert.Equal(0, used);
        _ = _guest.Enable(_rng);
        Start();
        Request();
        Assert.True(Eventually(() => _guest.Memory.TryRead(Ring + 0x2000 + 2, out ushort now) && now == 1));
    }

    [KvmFact]
    public void P4_a_driver_that_is_ready_before_bus_master_is_served_after()
    {
        _guest.Command(_rng, PciHeader0.Bits.CommandMemorySpace);
        Start();
        Request();
        LoopFence.Pass(_loop);
        Assert.True(_guest.Memory.TryRead(Ring + 0x2000 + 2, out ushort used));
        Assert.Equal(0, used);
        _ = _guest.Enable(_rng);
        Assert.True(Eventually(() => _guest.Memory.TryRead(Ring + 0x2000 + 2, out ushort now) && now == 1));
    }

    [KvmFact]
    public void T5_the_window_reaches_registers_and_nothing_else()
    {
        uint at = Config.Walk(_guest, _console.Address).Find(c => c.Id == 9 && _guest.Slot(_console.Address, c.At) >> 24 == (uint)VirtioPciCapType.Window).At;
        ulong bar = _guest.Enable(_console);
        // Status: written and read back through configuration space.
        Window(at, 0, 0x14, 1);
        _guest.WriteConfig(_console.Address, at + 16, 1, StatusAcknowledge);
        Assert.Equal(StatusAcknowledge, _guest.Read(bar + 0x14, 1));
        Assert.Equal(StatusAcknowledge, _guest.Slot(_console.Address, at + 16));
        // The device's own configuration: 80 columns, 25 rows.
        Window(at, 0, VirtioPciConst.ConfigOffset, 4);
        Assert.Equal(80u | 25u << 16, _guest.Slot(_console.Address, at + 16));
        foreach ((byte bad, uint offset, uint length) in ((byte, uint, uint)[])[(6, 0, 4), (1, 0, 4), (255, 0, 4), (0, uint.MaxValue, 1), (0, uint.MaxValue & ~3u, 4), (0, 0, 3), (0, 0, 8), (0, 0, 0), (0, 1, 2), (0, 2, 4), (0, 0x1000, 4), (0, 0x3800, 4)])
        {
            Window(at, bad, offset, length);
            Assert.Equal(uint.MaxValue, _guest.Slot(_console.Address, at + 16));
            _guest.WriteConfig(_console.Address, at + 16, 4, 0x1234_5678);
            _guest.WriteConfig(_console.Address, at + 16, 1, 0);
        }
        Assert.Equal(StatusAcknowledge, _guest.Read(bar + 0x14, 1));
        // A width that is not the length's does nothing.
        Window(at, 0, 0x14, 1);
        _guest.WriteConfig(_console.Address, at + 16, 4, Found);
        Assert.Equal(StatusAcknowledge, _guest.Read(bar + 0x14, 1));
    }

    [KvmFact]
    public void Interrupt_status_is_taken_by_reading_when_msix_is_off()
    {
        ulong bar = _guest.Enable(_console);
        _guest.Write(bar + 0x14, 1, StatusAcknowledge);
        _guest.Write(bar + 0x14, 1, Found);
        _guest.Write(bar + 0x08, 4, 1);
        _guest.Write(bar + 0x0c, 4, 1);
        _guest.Write(bar + 0x14, 1, Agreed);
        _guest.Write(bar + 0x14, 1, Running);
        ((VirtioConsoleDevice)_console.Common.Core.Device).Resize(100, 40);
        Assert.Equal(2u, _guest.Read(bar + VirtioPciConst.IsrOffset, 1));
        Assert.Equal(0u, _guest.Read(bar + VirtioPciConst.IsrOffset, 1));
        Assert.Equal(100u | 40u << 16, _guest.Read(bar + VirtioPciConst.ConfigOffset, 4));
    }

    [KvmFact]
    public void The_pin_goes_up_with_a_cause_and_again_at_the_end_of_an_interrupt_while_it_is_left()
    {
        Start(msix: false);
        Assert.Equal(0ul, _guest.TakeLine());
        Request();
        Assert.True(Eventually(() => _guest.TakeLine() == 1));
        Assert.Equal(0x18u, _guest.Slot(_rng.Address, Config.Command) >> 16);
        // Not taken yet: the line stays up, and the other function has no part in it.
        _guest.Host.Line!.Ended(PciGuest.LinePin);
        Assert.Equal(1ul, _guest.TakeLine());
        _guest.Host.Line.Ended(PciGuest.LinePin - 1);
        Assert.Equal(0ul, _guest.TakeLine());
        Assert.Equal(1u, _guest.Read(_bar + VirtioPciConst.IsrOffset, 1));
        Assert.Equal(0x10u, _guest.Slot(_rng.Address, Config.Command) >> 16);
        _guest.Host.Line.Ended(PciGuest.LinePin);
        Assert.Equal(0ul, _guest.TakeLine());
    }

    [KvmFact]
    public void A_pin_that_is_off_keeps_its_cause_and_goes_up_when_it_is_on()
    {
        const int on = PciHeader0.Bits.CommandMemorySpace | PciHeader0.Bits.CommandBusMaster;
        Start(msix: false);
        _guest.Command(_rng, on | PciHeader0.Bits.CommandInterruptDisable);
        Request();
        Assert.True(Eventually(() => _guest.Slot(_rng.Address, Config.Command) >> 16 == 0x18));
        _guest.Host.Line!.Ended(PciGuest.LinePin);
        Assert.Equal(0ul, _guest.TakeLine());
        _guest.Command(_rng, on);
        Assert.Equal(1ul, _guest.TakeLine());
        // A reset takes the cause away.
        Write("Status", 1, 0);
        Assert.Equal(0x10u, _guest.Slot(_rng.Address, Config.Command) >> 16);
        _guest.Host.Line.Ended(PciGuest.LinePin);
        Assert.Equal(0ul, _guest.TakeLine());
    }

    [KvmFact]
    public void With_vectors_the_pin_stays_down()
    {
        Start();
        Request();
        Assert.True(Eventually(() => _rng.Msix.IsPending(1)));
        Assert.Equal(0ul, _guest.TakeLine());
        Assert.Equal(0x10u, _guest.Slot(_rng.Address, Config.Command) >> 16);
    }

    [KvmFact]
    public void Every_access_to_the_bar_is_survived()
    {
        for (uint offset = 0; offset < VirtioPciConst.BarSize; offset++)
        {
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                _ = _guest.Read(_bar + offset, width);
                _guest.Write(_bar + offset, width, 0xffff_ffff_ffff_ffff);
            }
        }
        Start();
        Request();
        Assert.True(Eventually(() => _guest.Memory.TryRead(Ring + 0x2000 + 2, out ushort now) && now == 1));
    }

    private void Window(uint at, byte bar, uint offset, uint length)
    {
        _guest.WriteConfig(_console.Address, at + 4, 1, bar);
        _guest.WriteConfig(_console.Address, at + 8, 4, offset);
        _guest.WriteConfig(_console.Address, at + 12, 4, length);
    }

    private void Start(bool msix = true)
    {
        Write("Status", 1, 0);
        Assert.True(_guest.Memory.TryRange(Ring, 0x4000, out HostRange ring));
        ring.Span.Clear();
        Write("Status", 1, StatusAcknowledge);
        Write("Status", 1, Found);
        Write("DriverFeatureSelect", 4, 1);
        Write("DriverFeature", 4, 1);
        Write("Status", 1, Agreed);
        Assert.Equal(Agreed, Read("Status", 1));
        uint capability = Config.Walk(_guest, _rng.Address).Find(c => c.Id == 0x11).At;
        _guest.WriteConfig(_rng.Address, capability + 2, 2, msix ? 0x8000u : 0);
        Write("QueueSelect", 2, 0);
        Write("QueueVector", 2, 1);
        Write("QueueSize", 2, 8);
        Write("QueueDesc", 4, Ring);
        Write("QueueDriver", 4, Ring + 0x1000);
        Write("QueueDevice", 4, Ring + 0x2000);
        Write("QueueEnable", 2, 1);
        Write("Status", 1, Running);
    }

    private void Request()
    {
        Assert.True(_guest.Memory.TryWrite(Ring, new VirtqDesc { Addr = Buffer, Len = 64, Flags = 2 }));
        Assert.True(_guest.Memory.TryWrite(Ring + 0x1000 + 4, (ushort)0));
        Assert.True(_guest.Memory.TryWrite(Ring + 0x1000 + 2, (ushort)1));
        _guest.Write(_bar + VirtioPciConst.NotifyOffset, 2, 0);
    }

    private ulong Page(uint offset, int width)
    {
        ResidentPageReader reader = new(_rng);
        return reader.Read(offset, width);
    }

    private static uint Offset(string name) => Array.Find(VirtioPciCommon.Catalog.Registers, r => r.Name == name)!.Offset;

    private ulong Read(string name, int width) => _guest.Read(_bar + Offset(name), width);

    private void Write(string name, int width, ulong value) => _guest.Write(_bar + Offset(name), width, value);

    private static bool Eventually(Func<bool> condition) => Virtio.GuestDriver.Eventually(condition);

    // The memory slot of the BAR, as the guest reads it.
    private readonly unsafe struct ResidentPageReader(VirtioPciFunction function)
    {
        internal ulong Read(uint offset, int width)
        {
            BarRegion.Memory region = function.Bars[0].Regions.OfType<BarRegion.Memory>().Single();
            byte* at = (byte*)region.HostAddress + offset;
            return width switch { 1 => *at, 2 => *(ushort*)at, _ => *(uint*)at };
        }
    }
}
