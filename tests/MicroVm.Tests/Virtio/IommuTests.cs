using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Iommu;
using MicroVm.Virtio.Net;
using MicroVm.Virtio.Queue;
using Xunit;
using static MicroVm.Devices.VirtioIommuStatus;

namespace MicroVm.Tests.Virtio;

/// <summary>The guest's IOMMU: requests of a driver, right and wrong, and what a device behind it reaches.</summary>
public sealed class IommuTests : IDisposable
{
    private const uint Disk = 0x10, Card = 0x18;
    private const VirtioIommuAccess ReadWrite = VirtioIommuAccess.Read | VirtioIommuAccess.Write;

    private readonly GuestMemory _memory = GuestMemory.Allocate(64 << 20, 0xc000_0000, 0x1_0000_0000);
    private readonly IommuTable _table;
    private readonly Recorder _disk = new(Disk), _card = new(Card);
    private readonly List<(uint, ulong, bool, bool)> _faults = [];

    public IommuTests()
    {
        _table = new IommuTable(_memory);
        _table.Add(_disk);
        _table.Add(_card);
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Endpoints_come_and_go_and_a_domain_lives_while_one_is_in_it()
    {
        Assert.Equal(NoEntry, _table.Map(1, Page(0x1000)));
        Assert.Equal(NoEntry, _table.Attach(1, 0x77, 0));
        Assert.Equal(Invalid, _table.Attach(1, Disk, 2));
        Assert.Equal(Ok, _table.Attach(1, Disk, 0));
        Assert.Equal(Ok, _table.Attach(1, Disk, 0));
        Assert.Equal(Ok, _table.Map(1, Page(0x1000)));
        // The second finds what the first has; a bypass domain is another kind.
        Assert.Equal(Invalid, _table.Attach(1, Card, 1));
        Assert.Equal(Ok, _table.Attach(1, Card, 0));
        Assert.Equal(1, _card.Domain!.Count);
        Assert.Equal(Invalid, _table.Detach(2, Card));
        Assert.Equal(NoEntry, _table.Detach(1, 0x77));
        Assert.Equal(Ok, _table.Detach(1, Disk));
        Assert.True(_disk.Domain!.Bypass);
        // From one domain to another without a detach.
        Assert.Equal(Ok, _table.Attach(2, Card, 0));
        Assert.Equal(NoEntry, _table.Map(1, Page(0x2000)));
        Assert.Equal(0, _card.Domain!.Count);
        _table.SetBypass(false);
        Assert.Null(_disk.Domain);
        _table.Reset();
        Assert.Null(_card.Domain);
        _table.SetBypass(true);
        Assert.True(_card.Domain!.Bypass);
    }

    [Fact]
    public void Mappings_that_overlap_wrap_or_lie_outside_are_refused()
    {
        Assert.Equal(Ok, _table.Attach(1, Disk, 0));
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x10_0000, 0x10_ffff, 0x20_0000, ReadWrite)));
        foreach ((ulong first, ulong last) in ((ulong, ulong)[])[(0x10_0000, 0x10_ffff), (0xf_f000, 0x10_0fff), (0x10_f000, 0x11_0fff), (0x10_4000, 0x10_4fff), (0, 0x1f_ffff), (0xfee0_0000, 0xfee0_0fff), (0xfed0_0000, 0xff00_ffff)])
        {
            Assert.Equal(Invalid, _table.Map(1, new IommuMapping(first, last, 0x1000, ReadWrite)));
        }
        Assert.Equal(Invalid, _table.Map(1, new IommuMapping(0x2fff, 0x2000, 0, ReadWrite)));
        Assert.Equal(Invalid, _table.Map(1, new IommuMapping(0x2000, 0x2fff, 0, VirtioIommuAccess.Mmio)));
        foreach ((ulong first, ulong last, ulong physical) in ((ulong, ulong, ulong)[])
            [(0x2001, 0x3000, 0), (0x2000, 0x2ffe, 0), (0x2000, 0x2fff, 0x10), (0x2000, 0x2fff, 64 << 20), (0x2000, 0x3fff, (64 << 20) - 0x1000), (0x2000, 0x2fff, ~0xfffUL), (1UL << 39, (1UL << 39) + 0xfff, 0), (0, ulong.MaxValue, 0)])
        {
            Assert.Equal(OutOfRange, _table.Map(1, new IommuMapping(first, last, physical, ReadWrite)));
        }
        Assert.Equal(1, _disk.Mapped);
        // Not one half of it.
        Assert.Equal(OutOfRange, _table.Unmap(1, 0x10_0000, 0x10_0fff));
        Assert.Equal(OutOfRange, _table.Unmap(1, 0x10_f000, 0x1f_ffff));
        Assert.Equal(Invalid, _table.Unmap(1, 2, 1));
        Assert.Equal(NoEntry, _table.Unmap(3, 0, 0xfff));
        Assert.Equal(Ok, _table.Unmap(1, 0x3000_0000, 0x3000_0fff));
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x11_0000, 0x11_0fff, 0, ReadWrite)));
        Assert.Equal(Ok, _table.Unmap(1, 0, ulong.MaxValue));
        Assert.Equal(0, _disk.Mapped);
        Assert.Equal(Ok, _table.Map(1, Page(0x10_4000)));
    }

    [Fact]
    public void What_the_host_refuses_is_undone_everywhere()
    {
        Assert.Equal(Ok, _table.Attach(1, Disk, 0));
        Assert.Equal(Ok, _table.Attach(1, Card, 0));
        _card.Refuses = true;
        Assert.Equal(NoMemory, _table.Map(1, Page(0x1000)));
        Assert.Equal(0, _disk.Mapped);
        Assert.Equal(IoError, _table.Attach(2, Card, 0));
        Assert.Null(_table.DomainOf(Card));
    }

    [Fact]
    public void A_million_mappings_are_bounded()
    {
        Assert.Equal(Ok, _table.Attach(1, Disk, 0));
        int made = 0, refused = 0;
        for (ulong i = 0; i < 1_000_000; i++)
        {
            // From above, as Linux does, past the range of interrupts.
            VirtioIommuStatus status = _table.Map(1, Page(0x40_0000_0000 - i * 0x1000));
            if (status == Ok) made++;
            else if (status == NoMemory) refused++;
        }
        Assert.Equal((VirtioIommuConst.MaxMappings, 1_000_000 - VirtioIommuConst.MaxMappings), (made, refused));
        Assert.Equal(Ok, _table.Unmap(1, 0, ulong.MaxValue));
        Assert.Equal(0, _disk.Mapped);
    }

    [Fact]
    public void A_queue_behind_it_reads_and_writes_what_is_mapped_in_pieces()
    {
        VirtioEndpoint endpoint = Behind();
        (Virtqueue queue, _) = Queue(endpoint);
        // One buffer for the device, three places for the guest.
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_0000, 0x5000_0fff, 0x30_0000, ReadWrite)));
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_1000, 0x5000_1fff, 0x20_0000, ReadWrite)));
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_2000, 0x5000_2fff, 0x28_0000, ReadWrite)));
        Offer(0x5000_0800, 0x2000, VirtqDescFlags.Write);
        Assert.True(queue.TryPop(out Chain chain));
        Assert.Equal(3, chain.Writable.List.Length);
        byte[] bytes = new byte[0x2000];
        Random.Shared.NextBytes(bytes);
        Assert.Equal(0x2000u, chain.Writable.Fill(bytes));
        queue.Push(chain.Head, 0x2000);
        byte[] there = [.. Bytes(0x30_0800, 0x800), .. Bytes(0x20_0000, 0x1000), .. Bytes(0x28_0000, 0x800)];
        Assert.Equal(bytes, there);
        Assert.Empty(_faults);
    }

    [Theory]
    [InlineData(0x6000_0000, false)]
    [InlineData(0x5000_0800, true)]
    [InlineData(0x4fff_ff00, false)]
    public void What_is_not_mapped_or_not_for_this_is_a_fault_and_ends_the_queue(ulong address, bool write)
    {
        VirtioEndpoint endpoint = Behind();
        (Virtqueue queue, _) = Queue(endpoint);
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_0000, 0x5000_0fff, 0x30_0000, VirtioIommuAccess.Read)));
        Offer(address, 0x1000, write ? VirtqDescFlags.Write : 0);
        Assert.False(queue.TryPop(out _));
        Assert.Equal(QueueFault.BufferOutsideRam, queue.Fault);
        (uint id, ulong at, bool wrote, bool hasDomain) = Assert.Single(_faults);
        Assert.Equal((Disk + 1, write, true), (id, wrote, hasDomain));
        Assert.Equal(address, at);
    }

    [Fact]
    public void The_end_of_a_mapping_waits_for_what_uses_it()
    {
        VirtioEndpoint endpoint = Behind();
        (Virtqueue queue, _) = Queue(endpoint);
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_0000, 0x5000_0fff, 0x30_0000, ReadWrite)));
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5100_0000, 0x5100_0fff, 0x31_0000, ReadWrite)));
        Offer(0x5000_0000, 0x100, VirtqDescFlags.Write);
        Assert.True(queue.TryPop(out Chain chain));
        ushort head = chain.Head;
        // What it does not use ends at once.
        Assert.Equal(Ok, _table.Unmap(1, 0x5100_0000, 0x5100_0fff));
        VirtioIommuStatus? answer = null;
        Thread end = new(() => answer = _table.Unmap(1, 0x5000_0000, 0x5000_0fff));
        end.Start();
        Assert.True(GuestDriver.Waits(end));
        queue.Push(head, 0);
        Assert.True(end.Join(5_000));
        Assert.Equal(Ok, answer);
    }

    [Fact]
    public void A_chain_that_is_held_is_not_waited_for_and_ends_the_queue()
    {
        VirtioEndpoint endpoint = Behind();
        (Virtqueue queue, _) = Queue(endpoint);
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_0000, 0x5000_0fff, 0x30_0000, ReadWrite)));
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5100_0000, 0x5100_0fff, 0x31_0000, ReadWrite)));
        Offer(0x5000_0000, 0x100, VirtqDescFlags.Write);
        Assert.True(queue.TryPop(out Chain chain));
        queue.Hold(chain.Head);
        Assert.Equal(Ok, _table.Unmap(1, 0x5100_0000, 0x5100_0fff));
        Assert.True(queue.TryUse());
        // While it is touched, it is waited for; after that it is over.
        VirtioIommuStatus? answer = null;
        Thread end = new(() => answer = _table.Unmap(1, 0x5000_0000, 0x5000_0fff));
        end.Start();
        Assert.True(GuestDriver.Waits(end));
        queue.Done();
        Assert.True(end.Join(5_000));
        Assert.Equal(Ok, answer);
        Assert.False(queue.TryUse());
        Assert.Equal(QueueFault.BufferOutsideRam, queue.Fault);
    }

    // B4: the device has collected the buffer for a frame that may never come.
    [Fact]
    public void A_frame_is_not_written_where_the_mapping_has_gone()
    {
        VirtioEndpoint endpoint = Behind();
        (Virtqueue queue, _) = Queue(endpoint);
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x5000_0000, 0x5000_0fff, 0x30_0000, ReadWrite)));
        (int device, int host) = NetGuest.Pair();
        using INetEnd made = Assert.Single(NetEnds.Open(new NetOptions { Descriptors = [device] }));
        NetReceiver receiver = new(queue, made, 0, new NetCounters(), null);
        Offer(0x5000_0000, 0x800, VirtqDescFlags.Write);
        Assert.True(receiver.Gather());
        Assert.Equal(-Libc.EAGAIN, receiver.Step());
        long start = Environment.TickCount64;
        Assert.Equal(Ok, _table.Unmap(1, 0x5000_0000, 0x5000_0fff));
        Assert.InRange(Environment.TickCount64 - start, 0, 2_000);
        byte[] before = Bytes(0x30_0000, 0x1000), frame = new byte[100];
        Random.Shared.NextBytes(frame);
        Assert.Equal(frame.Length, HostIo.Write(host, frame));
        Assert.Equal(-Libc.EAGAIN, receiver.Step());
        Assert.Equal(QueueFault.BufferOutsideRam, queue.Fault);
        Assert.Equal(before, Bytes(0x30_0000, 0x1000));
        _ = Libc.close(device);
        _ = Libc.close(host);
    }

    [Fact]
    public void A_ring_that_loses_its_mapping_is_used_no_more()
    {
        VirtioEndpoint endpoint = Behind();
        (Virtqueue queue, QueueSetup setup) = Queue(endpoint);
        Assert.Equal(Ok, _table.Unmap(1, 0x4000_0000, 0x4000_2fff));
        Assert.True(setup.Traffic!.Revoked);
        Offer(0x5000_0000, 0x100, 0);
        Assert.False(queue.TryPop(out _));
        Assert.Equal(QueueFault.RingOutsideRam, queue.Fault);
    }

    [Fact]
    public void Rings_that_are_not_mapped_are_refused()
    {
        VirtioEndpoint endpoint = Behind();
        using EventFd kick = new();
        Assert.Equal(QueueFault.RingOutsideRam, QueueSetup.TryCreate(0, new QueueRequest(8, 0x4000_0000, 0x4000_1000, 0x4000_2000), 8, 0, _memory, endpoint, kick, out _));
        _table.SetBypass(false);
        Assert.Equal(Ok, _table.Detach(1, Disk + 1));
        Assert.Equal(QueueFault.RingOutsideRam, QueueSetup.TryCreate(0, new QueueRequest(8, 0x1000, 0x2000, 0x3000), 8, 0, _memory, endpoint, kick, out _));
        Assert.False(_faults[^1].Item4);
    }

    private VirtioEndpoint Behind()
    {
        VirtioEndpoint endpoint = new(Disk + 1, "test", _memory, _table.Everything, (id, address, write, hasDomain) => _faults.Add((id, address, write, hasDomain)));
        _table.Add(endpoint);
        Assert.Equal(Ok, _table.Attach(1, Disk + 1, 0));
        return endpoint;
    }

    // A queue of 8 whose rings the device sees at 0x40000000 and the guest has at 0x100000.
    private (Virtqueue, QueueSetup) Queue(VirtioEndpoint endpoint)
    {
        Assert.Equal(Ok, _table.Map(1, new IommuMapping(0x4000_0000, 0x4000_2fff, 0x10_0000, ReadWrite)));
        QueueRequest request = new(8, 0x4000_0000, 0x4000_1000, 0x4000_2000);
        Assert.Equal(QueueFault.None, QueueSetup.TryCreate(0, request, 8, 0, _memory, endpoint, new EventFd(), out QueueSetup? setup));
        return (new Virtqueue(setup!, _memory), setup!);
    }

    private void Offer(ulong address, uint length, VirtqDescFlags flags)
    {
        Assert.True(_memory.TryWrite(0x10_0000, new VirtqDesc { Addr = address, Len = length, Flags = (ushort)flags }));
        Assert.True(_memory.TryWrite(0x10_1004, (ushort)0));
        Assert.True(_memory.TryWrite(0x10_1002, (ushort)1));
    }

    private byte[] Bytes(ulong address, ulong length)
    {
        Assert.True(_memory.TryRange(address, length, out HostRange range));
        return range.Span.ToArray();
    }

    private static IommuMapping Page(ulong address) => new(address, address + 0xfff, 0x1000, ReadWrite);

    private sealed class Recorder(uint id) : IIommuEndpoint
    {
        internal bool Refuses { get; set; }
        internal IommuDomain? Domain { get; private set; } = new(0, bypass: true);
        internal int Mapped { get; private set; }
        public uint Id => id;
        public string Name => "recorder";
        public IReadOnlyList<(ulong First, ulong Last)> Holes => [];

        public bool TryEnter(IommuDomain? domain)
        {
            Domain = Refuses ? null : domain;
            Mapped = 0;
            return !Refuses;
        }

        public bool TryMap(in IommuMapping mapping)
        {
            if (!Refuses) Mapped++;
            return !Refuses;
        }

        public bool Unmap(in IommuMapping mapping)
        {
            Mapped--;
            return true;
        }
    }
}
