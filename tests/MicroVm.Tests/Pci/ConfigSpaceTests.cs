using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Pci;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Rng;
using Xunit;

namespace MicroVm.Tests.Pci;

/// <summary>Rows P1, P2 and P5: configuration space, sizing, the list of capabilities.</summary>
public sealed class ConfigSpaceTests : IDisposable
{
    private readonly EventLoop _loop = new("test", ThreadOwner.Process);
    private readonly PciGuest _guest = new(rootPorts: 2);
    private readonly VirtioPciFunction _rng, _behind;

    public ConfigSpaceTests()
    {
        _rng = _guest.Plug(new VirtioRngDevice(_loop));
        _behind = _guest.Plug(new VirtioRngDevice(_loop), new PciAddress(1, 0, 0));
    }

    public void Dispose()
    {
        _guest.Dispose();
        _loop.Dispose();
    }

    [KvmFact]
    public void P1_absent_functions_read_ones_and_take_no_write()
    {
        HashSet<PciAddress> present = [.. _guest.Host.Root.Functions.Select(f => f.Address)];
        for (int bus = 0; bus < 3; bus++)
        {
            for (int devfn = 0; devfn < 256; devfn++)
            {
                PciAddress address = new((byte)bus, (byte)(devfn >> 3), (byte)(devfn & 7));
                bool there = present.Contains(address);
                Assert.Equal(there, _guest.Slot(address, 0) != uint.MaxValue);
                if (there) continue;
                foreach (uint offset in (uint[])[0, 4, 0x10, 0x100, 0xffc])
                {
                    foreach (int width in (int[])[1, 2, 4, 8])
                    {
                        _guest.WriteConfig(address, offset, width, 0);
                        ulong ones = width == 8 ? ulong.MaxValue : (1UL << (8 * width)) - 1;
                        Assert.Equal(ones, _guest.Read(PciGuest.ConfigAddress(address) + offset, width));
                    }
                    Assert.Equal(uint.MaxValue, _guest.Slot(address, offset));
                }
            }
        }
    }

    [KvmFact]
    public void P1_every_width_and_alignment_is_survived()
    {
        for (uint offset = 0; offset < 4096; offset++)
        {
            foreach (int width in (int[])[1, 2, 4, 8])
            {
                byte[] before = _rng.Page.Bytes(0, 4096).ToArray();
                _guest.WriteConfig(_rng.Address, offset, width, 0xffff_ffff_ffff_ffff);
                if (offset % (uint)width != 0) Assert.Equal(before, _rng.Page.Bytes(0, 4096).ToArray());
                _guest.WriteConfig(_rng.Address, offset, width, 0);
            }
        }
        Assert.Equal(0x1044_1af4u, _guest.Slot(_rng.Address, 0));
        // Across the border of two functions: nobody's.
        _guest.Write(PciGuest.ConfigAddress(_rng.Address) + 0xffc, 8, 0);
        Assert.Equal(ulong.MaxValue, _guest.Read(PciGuest.ConfigAddress(_rng.Address) + 0xffc, 8));
    }

    [KvmFact]
    public void P1_eight_bytes_are_two_dwords()
    {
        _guest.WriteConfig(_rng.Address, Config.Bar, 8, 0x55_1234_5678);
        Assert.Equal(0x1234_400cu, _guest.Slot(_rng.Address, Config.Bar));
        Assert.Equal(0x55u, _guest.Slot(_rng.Address, Config.Bar + 4));
        Assert.Equal(0x55_1234_400cul, _guest.Read(PciGuest.ConfigAddress(_rng.Address) + Config.Bar, 8));
    }

    [KvmFact]
    public void P2_sizing_in_any_width_and_order_moves_nothing()
    {
        ulong home = _guest.Enable(_rng);
        ulong original = _guest.Read(PciGuest.ConfigAddress(_rng.Address) + Config.Bar, 8);
        foreach ((uint offset, int width)[] order in ((uint, int)[][])[[(0, 4), (4, 4)], [(4, 4), (0, 4)], [(0, 8)], [(2, 2), (0, 2), (4, 2), (6, 2)], [(0, 1), (1, 1), (2, 1), (3, 1), (7, 1), (6, 1), (5, 1), (4, 1)]])
        {
            foreach ((uint offset, int width) in order)
            {
                _guest.WriteConfig(_rng.Address, Config.Bar + offset, width, ulong.MaxValue);
                ulong? now = _rng.Bars[0].Address;
                Assert.True(now is null || now == home || width < 4, $"moved to {now:x}");
            }
            Assert.Null(_rng.Bars[0].Address);
            Assert.Equal(0xffff_c00cu, _guest.Slot(_rng.Address, Config.Bar));
            Assert.Equal(0xffff_ffffu, _guest.Slot(_rng.Address, Config.Bar + 4));
            _guest.WriteConfig(_rng.Address, Config.Bar, 8, original);
            Assert.Equal(home, _rng.Bars[0].Address);
        }
        for (uint bar = 2; bar < 6; bar++)
        {
            _guest.WriteConfig(_rng.Address, Config.Bar + 4 * bar, 4, uint.MaxValue);
            Assert.Equal(0u, _guest.Slot(_rng.Address, Config.Bar + 4 * bar));
        }
        _guest.WriteConfig(_rng.Address, Config.Offset("ExpansionRom"), 4, uint.MaxValue);
        Assert.Equal(0u, _guest.Slot(_rng.Address, Config.Offset("ExpansionRom")));
    }

    [KvmFact]
    public void P5_capability_lists_end_and_do_not_overlap()
    {
        foreach (PciFunction function in _guest.Host.Root.Functions)
        {
            List<(uint At, byte Id)> list = Config.Walk(_guest, function.Address);
            Assert.Equal(list.Count, list.Distinct().Count());
            Assert.Equal(function.Parts.Count - 1, list.Count);
            (uint At, uint End)[] extents = [.. function.Parts.Select(p => (p.Offset, p.Offset + p.Block.Info.Size)).OrderBy(e => e.Offset)];
            for (int i = 1; i < extents.Length; i++) Assert.True(extents[i - 1].End <= extents[i].At);
            Assert.True(extents[^1].End <= 0x100);
        }
        Assert.Equal([9, 9, 9, 9, 0x11], Config.Walk(_guest, _rng.Address).Select(c => (int)c.Id));
        Assert.Equal([9, 9, 9, 9, 0x10, 1, 0x11], Config.Walk(_guest, _behind.Address).Select(c => (int)c.Id));
    }

    [KvmFact]
    public void P5_the_list_cannot_be_rewritten()
    {
        List<(uint At, byte Id)> before = Config.Walk(_guest, _rng.Address);
        foreach ((uint at, _) in before)
        {
            _guest.WriteConfig(_rng.Address, at, 2, 0);
            _guest.WriteConfig(_rng.Address, at, 1, 0xff);
        }
        _guest.WriteConfig(_rng.Address, Config.Pointer, 1, 0);
        Assert.Equal(before, Config.Walk(_guest, _rng.Address));
    }

    [KvmFact]
    public void Unplugged_functions_are_absent_at_once()
    {
        ulong bar = _guest.Enable(_rng);
        Assert.NotEqual(ulong.MaxValue, _guest.Read(bar, 4));
        _guest.Host.Unplug(_rng);
        Assert.Equal(uint.MaxValue, _guest.Slot(_rng.Address, 0));
        // What is left there reads 0: docs/decisions/0083.
        Assert.Equal(0u, _guest.Read(bar, 4));
        VirtioPciFunction again = _guest.Plug(new VirtioRngDevice(_loop), _rng.Address);
        Assert.Equal(bar, _guest.Enable(again));
    }
}
