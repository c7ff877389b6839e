using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Hotplug;
using MicroVm.Pci;
using MicroVm.Tests.Pci;
using MicroVm.Tests.Virtio.VhostUser;
using MicroVm.Vfio;
using MicroVm.Virtio;
using Xunit;

namespace MicroVm.Tests.Hotplug;

/// <summary>Slots on a real KVM with a guest that answers as it is told to, on a thread of its own.</summary>
public sealed class SlotTests : IDisposable
{
    private static readonly TimeSpan s_long = TimeSpan.FromSeconds(20), s_short = TimeSpan.FromMilliseconds(50);

    private readonly PciGuest _guest = new(rootPorts: 2);
    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly HotplugUnits _all;
    private readonly PciSlots _slots;
    private readonly Thread _answers;
    private volatile bool _stop;
    private volatile int _insertion, _eject;

    public SlotTests()
    {
        _all = new HotplugUnits(_guest.Mmio, _guest.Errors);
        VfioAssignment vfio = new(_loop, _guest.Vm, _guest.Memory, _guest.Router, _guest.Errors, false, static _ => { }, static _ => { });
        VirtioFactory factory = new(new Lazy<EventLoop>(_loop), new OutputPump(-1, "none"), new HostNotes(null),
            cpus: 2, ThreadOwner.Process);
        _slots = new PciSlots(_all, _guest.Host, factory, vfio, _guest.Memory, _guest.Router);
        _answers = new Thread(Answer) { IsBackground = true };
        _answers.Start();
    }

    public void Dispose()
    {
        _stop = true;
        _answers.Join();
        _all.Join();
        _guest.Dispose();
        _all.Dispose();
        _loop.Dispose();
    }

    [KvmFact]
    public void Functions_go_in_and_out_and_leave_nothing_behind()
    {
        for (int i = 0; i < 20; i++)
        {
            PciFunction function = _slots.Add(new RngOptions { Id = "a" }, s_long);
            Assert.Equal(0x1044_1af4u, _guest.Slot(function.Address, 0));
            _slots.Remove(function, "a", s_long);
            Assert.Equal(uint.MaxValue, _guest.Slot(function.Address, 0));
        }
        Assert.Equal(3, _guest.Host.Root.Functions.Length);
        Assert.InRange(_guest.SlotsEver, 0u, 16u);
    }

    [KvmFact]
    public void What_the_guest_refuses_is_said_in_words_and_undone()
    {
        _insertion = 0x81;
        GuestRefusedException refused = Assert.Throws<GuestRefusedException>(() => _slots.Add(new RngOptions { Id = "a" }, s_long));
        Assert.Equal((0x81u, "the guest did not take it in, a: its driver did not load (status 0x81). It has been taken out again; see the guest's log."), (refused.Status!.Value, refused.Message));
        Assert.Equal(3, _guest.Host.Root.Functions.Length);
        _insertion = 0;
        PciFunction function = _slots.Add(new RngOptions { Id = "a" }, s_long);
        _eject = 0x82;
        Assert.Equal(0x82u, Assert.Throws<GuestRefusedException>(() => _slots.Remove(function, "a", s_long)).Status);
        Assert.NotNull(_guest.Host.Root.Find(function.Address));
        _eject = 0;
        _slots.Remove(function, "a", s_long);
        Assert.Null(_guest.Host.Root.Find(function.Address));
    }

    [KvmFact]
    public void A_guest_that_says_nothing_is_named_and_a_card_can_be_pulled()
    {
        _insertion = _eject = -1;
        GuestRefusedException silent = Assert.Throws<GuestRefusedException>(() => _slots.Add(new RngOptions { Id = "a" }, s_short));
        Assert.Null(silent.Status);
        PciFunction function = _guest.Host.Behind(1)!;
        _guest.Command(_guest.Host.Ports[0], 6);
        ulong bar = _guest.Enable(function);
        _ = Assert.Throws<GuestRefusedException>(() => _slots.Remove(function, "a", s_short));
        Assert.Same(function, _guest.Host.Behind(1));
        _slots.Pull(function, "a");
        Assert.Null(_guest.Host.Behind(1));
        Assert.Equal((0ul, (ulong)uint.MaxValue), (_guest.Read(bar + 0x14, 4), _guest.Read(bar + 0x1_0000, 4)));
        _insertion = 0;
        Assert.Equal(2, _slots.Add(new RngOptions(), s_long).Address.Bus);
        Assert.Equal(1, _slots.Add(new RngOptions(), s_long).Address.Bus);
        Assert.Contains("every slot is taken", Assert.Throws<MicroVmException>(() => _slots.Add(new RngOptions(), s_long)).Message, StringComparison.Ordinal);
    }

    [KvmFact]
    public void What_cannot_be_made_leaves_the_slot_empty()
    {
        for (int i = 0; i < 5; i++) _ = Assert.Throws<MicroVmException>(() => _slots.Add(new DiskOptions("/none"), s_long));
        _ = Assert.Throws<MicroVmException>(() => _slots.Add(new RngOptions { RootPort = 3 }, s_long));
        _ = Assert.Throws<MicroVmException>(() => _slots.Add(new RngOptions { Transport = VirtioTransport.Mmio }, s_long));
        Assert.StartsWith("more pairs of queues than vCPUs", Assert.Throws<MicroVmException>(() => _slots.Add(new NetOptions { Tap = "none", Queues = 3 }, s_long)).Message, StringComparison.Ordinal);
        using (TestBackend backend = new())
            Assert.StartsWith("the guest's memory is this process's alone", Assert.Throws<MicroVmException>(() => _slots.Add(new DiskOptions(backend.Path) { VhostUser = true }, s_long)).Message, StringComparison.Ordinal);
        Assert.Equal(uint.MaxValue, _guest.Slot(new PciAddress(1, 0, 0), 0));
        Assert.Equal(1, _slots.Add(new RngOptions { RootPort = 1 }, s_long).Address.Bus);
    }

    // What is disposed is unmapped: an access that comes late would end this process.
    [KvmFact]
    public void Other_processors_write_into_what_goes_all_the_time()
    {
        ulong config = PciGuest.ConfigAddress(new PciAddress(1, 0, 0)), port = PciGuest.ConfigAddress(_guest.Host.Ports[0].Address);
        ulong bar = 0;
        Thread[] writers = [.. Enumerable.Range(0, 2).Select(n => new Thread(() => Write(new Random(n), config, port, () => Volatile.Read(ref bar), () => _stop)) { IsBackground = true })];
        foreach (Thread writer in writers) writer.Start();
        for (int i = 0; i < 30; i++)
        {
            PciFunction function = _slots.Add(new RngOptions { RootPort = 1 }, s_long);
            Volatile.Write(ref bar, function.Bars[0].Address ?? 0x40_0000_0000);
            Thread.Yield();
            if (i % 2 == 0) _slots.Remove(function, "a", s_long);
            else _slots.Pull(function, "a");
        }
        _stop = true;
        foreach (Thread writer in writers) writer.Join();
        Assert.Null(_guest.Host.Behind(1));
    }

    private void Write(Random random, ulong config, ulong port, Func<ulong> bar, Func<bool> ended)
    {
        while (!ended())
        {
            switch (random.Next(40))
            {
                case 0: _guest.Write(config + Config.Command, 2, (ulong)random.Next(8)); break;
                case 1: _guest.Write(config + (ulong)(random.Next(0x40) * 4), 4, (ulong)random.NextInt64()); break;
                case 2: _guest.Write(port + Config.Command, 2, 6); break;
                case 3: _guest.Write(port + 0x3e, 2, (ulong)random.Next(2) << 6); break;
                default: _guest.Write(bar() + (ulong)(random.Next(0x1000) * 4), 4, (ulong)random.Next(16)); break;
            }
        }
    }

    // The guest: takes note, and answers what the test wants of it; nothing at -1.
    private void Answer()
    {
        while (!_stop)
        {
            for (int slot = 0; slot < 2; slot++)
            {
                ulong unit = HotplugUnits.Address(UnitKind.Slot, slot);
                ulong status = _guest.Read(unit, 4);
                if ((status & 0x100) != 0) Tell(unit, 1, _insertion, source: 1);
                if ((status & 0x200) != 0) Tell(unit, 2, _eject, source: 3);
            }
            Thread.Sleep(0);
        }
    }

    private void Tell(ulong unit, ulong told, int outcome, ulong source)
    {
        _guest.Write(unit + 4, 4, told);
        // As the AML does: first the note, then the look, so that what comes in between is told again.
        if (outcome < 0 || (source == 1 && (_guest.Read(unit, 4) & 0xf) == 0)) return;
        if (source == 3 && outcome == 0)
        {
            _guest.Write(unit + 4, 4, 4);
            while (!_stop && (_guest.Read(unit, 4) & 0x400) != 0) Thread.Sleep(0);
        }
        _guest.Write(unit + 8, 4, source);
        _guest.Write(unit + 12, 4, (uint)outcome);
    }
}
