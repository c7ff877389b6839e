using MicroVm.Bus;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Vfio;
using Xunit;

namespace MicroVm.Tests.Vfio;

/// <summary>Row F3: what of a device's configuration space a guest sees, and which of its writes reach the hardware.</summary>
public sealed class VfioConfigTests : IDisposable
{
    private const int Power = 0x40, Express = 0x60, Vendor = 0xa0, Msix = 0xb0, Msi = 0xc0, Vpd = 0xd0;

    private readonly FakeVfioDevice _device = new();
    private readonly ResidentPage _page = new(4096);
    private readonly IntxLine _line = new(new InterruptLine(0));

    public VfioConfigTests()
    {
        _device.Set(0, 0x36, 0x1b, 0x10, 0x00);
        _device.Set(0x06, 0x10);
        _device.Set(0x08, 0x02, 0x02, 0x08, 0x01);
        _device.Set(0x10, 0x04, 0x00, 0x00, 0xfe);
        _device.Set(0x18, 0x01, 0xc0);
        _device.Set(0x34, Vpd);
        _device.Set(0x3d, 2);
        _device.Set(Vpd, 0x03, Power, 0x34, 0x12);
        _device.Set(Power, 0x01, Express, 0x03, 0xf8, 0x08, 0x81);
        _device.Set(Express, 0x10, Vendor, 0x02, 0x00, 0x00, 0x80, 0x00, 0x10, 0x20, 0x50, 0x0f, 0x00, 0x11, 0x22);
        _device.Set(Vendor, 0x09, Msix, 0x08, 0xaa, 0xbb, 0xcc, 0xdd, 0xee);
        _device.Set(Msix, 0x11, Msi, 0x03, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x30);
        _device.Set(Msi, 0x05, 0x00, 0x80);
        // ATS, then a serial number, then SR-IOV.
        _device.Set(0x100, 0x0f, 0x00, 0x01, 0x14);
        _device.Set(0x140, 0x03, 0x00, 0x01, 0x18, 1, 2, 3, 4, 5, 6, 7, 8);
        _device.Set(0x180, 0x10, 0x00, 0x01, 0x00, 0xff, 0xff);
        _device.AddBar(0, 0x4000);
    }

    public void Dispose() => _line.Event.Dispose();

    private VfioFunction Make() => new(new PciAddress(0, 1, 0), _page, "0000:00:09.0", _device, new InterruptRouter(null!, 0), _line, new GuestErrors(null));

    [Fact]
    public void The_list_has_what_the_rules_name_and_ends()
    {
        using VfioFunction function = Make();
        List<(byte, byte)> list = [];
        for (byte at = _page.Load<byte>(0x34); at != 0 && list.Count < 20; at = _page.Load<byte>(at + 1u)) list.Add((_page.Load<byte>(at), at));
        Assert.Equal([(1, Power), (0x10, Express), (9, Vendor), (0x11, Msix), (5, Msi)], list);
        Assert.Equal(0u, _page.Load<uint>(Vpd));
    }

    [Fact]
    public void Extended_capabilities_that_are_hidden_are_not_there()
    {
        using VfioFunction function = Make();
        Assert.Equal(0x1400_0000u, _page.Load<uint>(0x100));
        Assert.Equal(0x0001_0003u, _page.Load<uint>(0x140));
        Assert.Equal(0x0403_0201u, _page.Load<uint>(0x144));
        Assert.Equal(0ul, _page.Load<ulong>(0x180));
    }

    [Fact]
    public void Identity_is_the_hardware_s_and_the_pin_is_ours()
    {
        using VfioFunction function = Make();
        Assert.Equal(0x0010_1b36u, _page.Load<uint>(0));
        Assert.Equal(0x0108_0202u, _page.Load<uint>(8));
        Assert.Equal(1, _page.Load<byte>(0x3d));
        Assert.Equal("intx", function.Interrupts.Mode?.ToString().ToLowerInvariant());
    }

    [Fact]
    public void A_bar_of_ports_is_left_out()
    {
        using VfioFunction function = Make();
        PciBar bar = Assert.Single(function.Bars);
        Assert.Equal((0, 0x4000ul, true), (bar.Index, bar.Size, bar.Is64));
        Assert.Equal(0u, _page.Load<uint>(0x18));
    }

    [Fact]
    public void A_bar_of_64_bits_in_the_last_register_is_left_out()
    {
        _device.Set(0x24, 0x04);
        _device.AddBar(5, 0x1000);
        using VfioFunction function = Make();
        Assert.Equal(0, Assert.Single(function.Bars).Index);
        Assert.Equal(0u, _page.Load<uint>(0x24));
    }

    [Fact]
    public void F3_the_power_state_is_written_and_what_is_reserved_beside_it_is_kept()
    {
        _device.Set(Power + 4, 0xf8, 0x81);
        using VfioFunction function = Make();
        Assert.Equal(IoStatus.Ok, function.Write(Power + 4, 2, 0x0003));
        Assert.Equal(0x81fbu, _device.Dword(Power + 4) & 0xffff);
        Assert.Equal(IoStatus.Ok, function.Write(Power + 4, 1, 0x00));
        Assert.Equal(0x81f8u, _device.Dword(Power + 4) & 0xffff);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void F3_of_all_writes_only_the_declared_bits_reach_the_hardware(int width)
    {
        using VfioFunction function = Make();
        byte[] before = [.. _device.Config];
        // Without the byte whose bit 7 resets the function: that is another test.
        ulong ones = width == 8 ? ulong.MaxValue : (1ul << (8 * width)) - 1;
        for (uint offset = 0; offset < 4096; offset += (uint)width)
        {
            ulong value = offset <= Express + 9 && offset + (uint)width > Express + 9 ? ones & ~(0x80ul << (8 * (int)(Express + 9 - offset))) : ones;
            // MSI and MSI-X stay off: switching them on needs KVM.
            if (offset <= Msi + 3 && offset + (uint)width > Msi + 2 || offset <= Msix + 3 && offset + (uint)width > Msix + 2) continue;
            if (offset <= 5 && offset + (uint)width > 4) continue;
            Assert.Equal(IoStatus.Ok, function.Write(offset, width, value));
        }
        Dictionary<int, int> changed = [];
        for (int i = 0; i < 4096; i++)
        {
            if (_device.Config[i] != before[i]) changed[i] = _device.Config[i] ^ before[i];
        }
        // Power state; relaxed ordering, no snoop and read request size.
        Assert.Equal([Power + 4, Express + 8, Express + 9], changed.Keys.Order());
        Assert.Equal(0x03, changed[Power + 4] & ~0x08);
        Assert.Equal(0, changed[Express + 8] & ~0x10);
        Assert.Equal(0, changed[Express + 9] & ~0x78);
        Assert.Equal(0x0f, _device.Config[Power + 4] | 0x0c);
    }

    [Fact]
    public void Command_passes_bus_mastering_and_the_line_switch_and_decodes_always()
    {
        using VfioFunction function = Make();
        Assert.Equal(0x0002u, _device.Dword(4) & 0xffff);
        function.Write(4, 2, 0x0400);
        Assert.Equal(0x0402u, _device.Dword(4) & 0xffff);
        function.Write(4, 2, 0x0000);
        Assert.Equal(0x0002u, _device.Dword(4) & 0xffff);
    }

    [Fact]
    public void A_reset_by_the_guest_resets_the_hardware_and_all_that_is_emulated()
    {
        using VfioFunction function = Make();
        function.Write(0x10, 4, 0xc000_0000);
        _device.Log.Clear();
        function.Write(Express + 8, 2, 0x8000);
        Assert.Equal(["Intx off", "reset", "Intx 0+1"], _device.Log);
        Assert.Equal(0x4u, _page.Load<uint>(0x10));
        Assert.Equal(0, _device.Config[Express + 9] & 0x80);
    }

    [Fact]
    public void The_device_is_reset_at_start_and_at_the_end()
    {
        VfioFunction function = Make();
        Assert.Equal("reset", _device.Log[0]);
        function.Dispose();
        Assert.Equal(["Intx off", "reset", "closed"], _device.Log[^3..]);
        Assert.Equal(0u, _device.Dword(4) & 0xffff);
    }

    [Fact]
    public void A_list_in_a_ring_ends_and_a_bridge_is_refused()
    {
        _device.Set(Msi + 1, Power);
        using (VfioFunction function = Make()) Assert.Equal(5, function.Parts.Count - 1);
        _device.Set(0x0e, 1);
        Assert.Throws<MicroVmException>(Make);
    }

    [Fact]
    public void Vectors_are_taken_by_doubling_and_those_in_use_are_signalled_once_more()
    {
        EventFd[] events = [new(), new(), new(), new()];
        VfioInterrupts interrupts = new(_device, "test", _line.Event, new GuestErrors(null));
        interrupts.UseLine();
        IMsixObserver observer = interrupts;
        for (int i = 0; i < 4; i++) observer.VectorUsed(i, events[i]);
        Assert.Equal(["Intx 0+1", "Intx off", "Msix 0+1", "Msix off", "Msix 0+2", "Msix off", "Msix 0+4", "Msix 3+1"], _device.Log);
        Assert.Equal([2ul, 1ul, 0ul, 0ul], events.Select(static e => e.Drain()));
        observer.Disabled();
        Assert.Equal(["Msix off", "Intx 0+1"], _device.Log[^2..]);
        foreach (EventFd e in events) e.Dispose();
    }

    [Fact]
    public void The_hardware_has_messages_on_from_the_moment_the_guest_switches_them_on()
    {
        using EventFd signal = new();
        VfioInterrupts interrupts = new(_device, "test", _line.Event, new GuestErrors(null));
        interrupts.UseLine();
        IMsixObserver observer = interrupts;
        observer.Enabled();
        Assert.Equal(["Intx 0+1", "Intx off", "Msix 0+1"], _device.Log);
        observer.VectorUsed(0, signal);
        Assert.Equal("Msix 0+1", _device.Log[^1]);
        Assert.Equal(4, _device.Log.Count);
        observer.Disabled();
        Assert.Equal(["Msix off", "Intx 0+1"], _device.Log[^2..]);
    }

    [Fact]
    public void Where_the_kernel_can_add_vectors_none_is_interrupted()
    {
        _device.FixedSize = false;
        using EventFd signal = new();
        IMsixObserver observer = new VfioInterrupts(_device, "test", null, new GuestErrors(null));
        observer.VectorUsed(2, signal);
        observer.VectorUsed(3, signal);
        Assert.DoesNotContain("Msix off", _device.Log);
    }

    [Fact]
    public void The_end_of_an_interrupt_unmasks_only_the_line()
    {
        using EventFd signal = new();
        VfioInterrupts interrupts = new(_device, "test", _line.Event, new GuestErrors(null));
        interrupts.UseLine();
        interrupts.EndOfInterrupt();
        interrupts.SwitchMsi(true, signal);
        interrupts.EndOfInterrupt();
        Assert.Single(_device.Log, "Intx unmask");
    }

    [Theory]
    [InlineData("0x2000+0x40", "0+0x2000 0x3000+0x1000")]
    [InlineData("0x2ff0+0x20", "0+0x2000")]
    [InlineData("0x0+0x10 0x3ff8+0x8", "0x1000+0x2000")]
    [InlineData("0x1000+0x10 0x1800+0x8", "0+0x1000 0x2000+0x2000")]
    [InlineData("", "0+0x4000")]
    public void Pages_of_the_table_are_not_mapped(string special, string expected)
    {
        (ulong, ulong)[] ranges = [.. special.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Range)];
        Assert.Equal(expected.Split(' ').Select(Range), VfioBars.Mappable(new VfioRegion(0x4000, 0, [(0, 0x4000)]), ranges));
    }

    [Fact]
    public void A_region_below_a_page_is_not_mapped() => Assert.Empty(VfioBars.Mappable(new VfioRegion(0x800, 0, [(0, 0x800)]), []));

    private static (ulong, ulong) Range(string text) => (Number(text.Split('+')[0]), Number(text.Split('+')[1]));

    private static ulong Number(string text) => text.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToUInt64(text[2..], 16) : ulong.Parse(text);
}
