using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Pci;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Pci;
using Xunit;

namespace MicroVm.Tests.Pci;

/// <summary>Rows M1, M4 and the half of M3 that needs no vCPU. That a signal reached KVM is seen by its count: KVM takes it, a masked vector keeps it.</summary>
public sealed class MsixTests : IDisposable
{
    private const ulong Apic = 0xfee0_0000;
    private const uint AddressAt = 0, HighAt = 4, DataAt = 8, ControlAt = 12;

    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly PciGuest _guest = new();
    private readonly VirtioPciFunction _function;
    private readonly MsixTable _msix;
    private readonly ulong _table, _pba;
    private readonly uint _capability;

    public MsixTests()
    {
        _function = _guest.Plug(new VirtioConsoleDevice(_loop, null));
        _msix = _function.Msix;
        ulong bar = _guest.Enable(_function);
        (_table, _pba) = (bar + VirtioPciConst.TableOffset, bar + VirtioPciConst.PbaOffset);
        _capability = Config.Walk(_guest, _function.Address).Find(c => c.Id == 0x11).At;
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [KvmFact]
    public void M1_the_table_takes_4_and_8_aligned_bytes_only()
    {
        for (uint offset = 0; offset < 3 * 16; offset++)
        {
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                bool legal = width >= 4 && offset % width == 0;
                uint dword = offset & ~3u;
                ulong before = _guest.Read(_table + dword, 4);
                _guest.Write(_table + offset, width, 0x5a5a_5a5a_5a5a_5a5a);
                ulong now = _guest.Read(_table + dword, 4);
                if (legal) Assert.Equal(dword % 16 == ControlAt ? 0u : 0x5a5a_5a5au, now);
                else Assert.Equal(before, now);
                _guest.Write(_table + dword, 4, before);
            }
        }
        // Behind the last entry there is nothing.
        _guest.Write(_table + 3 * 16, 4, 0);
        Assert.Equal(uint.MaxValue, _guest.Read(_table + 3 * 16, 4));
    }

    [KvmFact]
    public void M1_reserved_bits_and_pending_bits_take_no_write()
    {
        _guest.Write(_table + ControlAt, 4, 0xffff_fffe);
        Assert.Equal(0u, _guest.Read(_table + ControlAt, 4));
        _guest.Write(_table + ControlAt, 4, 0xffff_ffff);
        Assert.Equal(1u, _guest.Read(_table + ControlAt, 4));
        _guest.Write(_pba, 8, ulong.MaxValue);
        Assert.Equal(0u, _guest.Read(_pba, 8));
        Assert.Equal(uint.MaxValue, _guest.Read(_pba + 1, 4));
        Assert.Equal(0xffffu, _guest.Read(_pba, 2));
    }

    [KvmFact]
    public void M1_an_address_that_is_not_the_apics_is_no_interrupt()
    {
        Switch(enable: true);
        foreach (ulong address in (ulong[])[0, 0x1000, 0xfed0_0000, 0xfef0_0000, Apic | 1UL << 32, ulong.MaxValue])
        {
            foreach (uint data in (uint[])[0, 0x41, uint.MaxValue])
            {
                long sent = _guest.Router.TablesSent;
                Program(0, address, data);
                Unmask(0);
                _msix.Raise(0);
                Assert.True(_msix.IsPending(0));
                Assert.Equal(sent, _guest.Router.TablesSent);
                Mask(0);
            }
        }
        Program(0, Apic, uint.MaxValue);
        Unmask(0);
        Assert.False(_msix.IsPending(0));
    }

    [KvmFact]
    public void M3_a_masked_vector_is_pending_and_is_delivered_once()
    {
        Assert.Null(_msix.Gsi(1));
        Program(1, Apic, 0x41);
        Switch(enable: true);
        _msix.Raise(1);
        _msix.Raise(1);
        Assert.Equal(2u, _guest.Read(_pba, 8));
        Assert.Equal(2u, _guest.Read(_pba, 4));
        Unmask(1);
        Assert.Equal(0u, _guest.Read(_pba, 8));
        for (int i = 0; i < 3; i++)
        {
            // What was delivered is not delivered again.
            Mask(1);
            Assert.Equal(0u, _guest.Read(_pba, 8));
            Unmask(1);
        }
        _msix.Raise(1);
        Mask(1);
        Assert.Equal(0u, _guest.Read(_pba, 8));
    }

    [KvmFact]
    public void M3_the_functions_switches_mask_all()
    {
        Program(0, Apic, 0x41);
        Unmask(0);
        Switch(enable: true);
        _msix.Raise(0);
        Assert.False(_msix.Event(0)!.IsSignalled);
        foreach (Action off in (Action[])[() => Switch(enable: true, mask: true), () => Switch(enable: false), () => _guest.Command(_function, PciHeader0.Bits.CommandMemorySpace)])
        {
            off();
            _msix.Raise(0);
            Assert.True(_msix.IsPending(0));
            Assert.Equal(1u, _guest.Read(_pba, 8));
            Switch(enable: true);
            _ = _guest.Enable(_function);
            Assert.Equal(0u, _guest.Read(_pba, 8));
            Assert.False(_msix.Event(0)!.IsSignalled);
        }
    }

    [KvmFact]
    public void M4_what_changes_nothing_costs_nothing()
    {
        Switch(enable: true);
        for (int vector = 0; vector < 3; vector++)
        {
            Program(vector, Apic, 0x41u + (uint)vector);
            Unmask(vector);
        }
        long sent = _guest.Router.TablesSent;
        int gsis = _guest.Router.GsiCount;
        for (int i = 0; i < 1000; i++)
        {
            int vector = i % 3;
            Mask(vector);
            Unmask(vector);
            Program(vector, Apic, 0x41u + (uint)vector);
            Switch(enable: true, mask: i % 2 == 0);
        }
        Assert.Equal(sent, _guest.Router.TablesSent);
        Assert.Equal(gsis, _guest.Router.GsiCount);
        Switch(enable: true);
        Program(0, Apic | 1 << 12, 0x42);
        Assert.InRange(_guest.Router.TablesSent, sent + 1, sent + 3);
    }

    [KvmFact]
    public void M4_routes_of_many_vectors_go_out_together()
    {
        for (int vector = 0; vector < 3; vector++)
        {
            Program(vector, Apic, 0x41u + (uint)vector);
            Unmask(vector);
        }
        long sent = _guest.Router.TablesSent;
        Switch(enable: true);
        Assert.Equal(sent + 1, _guest.Router.TablesSent);
    }

    [KvmFact]
    public void M3_threads_that_signal_while_vectors_are_masked_lose_nothing()
    {
        Program(0, Apic, 0x41);
        Switch(enable: true);
        bool stop = false;
        Thread storm = new(() =>
        {
            while (!Volatile.Read(ref stop)) _msix.Raise(0);
        });
        storm.Start();
        for (int i = 0; i < 300; i++)
        {
            Unmask(0);
            Mask(0);
        }
        Volatile.Write(ref stop, true);
        storm.Join();
        _msix.Raise(0);
        Assert.Equal(1u, _guest.Read(_pba, 4));
        Unmask(0);
        Assert.Equal(0u, _guest.Read(_pba, 4));
        Assert.False(_msix.Event(0)!.IsSignalled);
    }

    [KvmFact]
    public void GSIs_come_back_with_the_function()
    {
        Switch(enable: true);
        Program(0, Apic, 0x41);
        Unmask(0);
        int gsis = _guest.Router.GsiCount;
        for (int i = 0; i < 10; i++)
        {
            VirtioPciFunction more = _guest.Plug(new VirtioConsoleDevice(_loop, null), new PciAddress(0, 9, 0));
            for (int vector = 0; vector < 3; vector++) Assert.True(more.Msix.TryTake(vector));
            _guest.Host.Unplug(more);
        }
        Assert.InRange(_guest.Router.GsiCount, gsis, gsis + 3);
    }

    private void Switch(bool enable, bool mask = false) => _guest.WriteConfig(_function.Address, _capability + 2, 2, (enable ? 0x8000u : 0) | (mask ? 0x4000u : 0));

    // With what a driver does besides: it assigns the vector to a queue.
    private void Program(int vector, ulong address, uint data)
    {
        Assert.True(_msix.TryTake(vector));
        ulong entry = _table + (ulong)vector * 16;
        _guest.Write(entry + AddressAt, 4, (uint)address);
        _guest.Write(entry + HighAt, 4, address >> 32);
        _guest.Write(entry + DataAt, 4, data);
    }

    private void Mask(int vector) => _guest.Write(_table + (ulong)vector * 16 + ControlAt, 4, 1);

    private void Unmask(int vector) => _guest.Write(_table + (ulong)vector * 16 + ControlAt, 4, 0);
}
