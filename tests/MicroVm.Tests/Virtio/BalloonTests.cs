using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Virtio.Balloon;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>The balloon under honest and hostile drivers (row D1 of the catalogue).</summary>
public sealed class BalloonTests
{
    private const ulong Pages = 0x200_0000;   // in the middle of RAM, beside every ring

    private readonly VirtioBalloonDevice _balloon = new(new BalloonOptions { TargetBytes = 8 << 20, FreePageReporting = true, DeflateOnOom = true });

    [Fact]
    public void What_is_given_up_reads_as_zeros_and_can_be_used_again()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue inflate = guest.Start(64).Queues[VirtioBalloon.InflateQueue], deflate = guest.Queues[VirtioBalloon.DeflateQueue];
        inflate.Bytes(Pages, 4 * 4096).Fill(0x5a);
        Assert.Equal(0u, Give(inflate, Number(0), Number(1), Number(3))!.Value.Len);
        Assert.Equal(-1, inflate.Bytes(Pages, 2 * 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, inflate.Bytes(Pages + (2 * 4096), 4096).IndexOfAnyExcept((byte)0x5a));
        Assert.Equal(-1, inflate.Bytes(Pages + (3 * 4096), 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal((3, 0), (_balloon.Counters.Inflated, _balloon.Counters.Deflated));
        Assert.NotNull(Give(deflate, Number(0), Number(1), Number(3)));
        Assert.Equal(3, _balloon.Counters.Deflated);
        inflate.Bytes(Pages, 4096).Fill(1);
    }

    // B6: its slot is ejected while the host sets a target. The page of its registers may be unmapped by then.
    [Fact]
    public void What_the_host_says_of_a_device_that_has_gone_changes_none_of_its_registers()
    {
        GuestDriver guest = new(_balloon);
        _ = guest.Start(64);
        uint at = GuestDriver.Offset("ConfigGeneration");
        _balloon.Target = 4 << 20;
        uint before = guest.Page.Load<uint>(at);
        _balloon.Target = 6 << 20;
        Assert.NotEqual(before, guest.Page.Load<uint>(at));
        guest.Dispose();
        before = guest.Page.Load<uint>(at);
        _balloon.Target = 8 << 20;
        Assert.Equal(before, guest.Page.Load<uint>(at));
    }

    [Fact]
    public void Neighbours_in_either_order_are_all_given_up()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue inflate = guest.Start(64).Queues[VirtioBalloon.InflateQueue];
        inflate.Bytes(Pages, 600 * 4096).Fill(7);
        Assert.NotNull(Give(inflate, [.. Enumerable.Range(0, 300).Select(static i => Number(599 - i))]));
        Assert.NotNull(Give(inflate, [.. Enumerable.Range(0, 300).Select(Number)]));
        Assert.Equal(-1, inflate.Bytes(Pages, 600 * 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(600, _balloon.Counters.Inflated);
    }

    [Fact]
    public void D1_pages_outside_memory_are_counted_and_ignored()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue inflate = guest.Start(64).Queues[VirtioBalloon.InflateQueue];
        inflate.Bytes(Pages, 4096).Fill(7);
        Assert.NotNull(Give(inflate, (uint)(GuestDriver.Ram >> 12), uint.MaxValue, 0xc_0000, Number(0), uint.MaxValue - 1));
        Assert.Equal((1, 4), (_balloon.Counters.Inflated, _balloon.Counters.Ignored));
        Assert.Equal(4, guest.Errors.Count);
        Assert.Equal(-1, inflate.Bytes(Pages, 4096).IndexOfAnyExcept((byte)0));
        Assert.False(guest.NeedsReset);
    }

    [Fact]
    public void D1_a_request_of_any_length_ends()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue inflate = guest.Start(64).Queues[VirtioBalloon.InflateQueue];
        // 2 GiB of page numbers, all zero: page 0, again and again.
        Buffer[] chain = new Buffer[64];
        Array.Fill(chain, new Buffer(Pages, 0x200_0000, false));
        inflate.DescribeChain(0, null, chain);
        Assert.NotNull(inflate.Transact(0));
        Assert.Equal((long)BalloonPages.Limit, _balloon.Counters.Inflated);
        Assert.Equal((1L << 29) - BalloonPages.Limit, _balloon.Counters.Ignored);
        // Three bytes are no page number, and a buffer to write says nothing.
        inflate.DescribeChain(0, null, new Buffer(Pages, 3, false));
        Assert.NotNull(inflate.Transact(0));
        inflate.DescribeChain(0, null, new Buffer(Pages, 4096, true));
        Assert.NotNull(inflate.Transact(0));
        Assert.Equal((long)BalloonPages.Limit, _balloon.Counters.Inflated);
    }

    [Fact]
    public void D1_a_page_that_holds_the_queue_itself_harms_nobody_else()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue inflate = guest.Start(64).Queues[VirtioBalloon.InflateQueue];
        _ = Give(inflate, [.. Enumerable.Range((int)(inflate.Descriptors >> 12), 0xb0).Select(static n => (uint)n)]);
        Assert.True(GuestDriver.Eventually(() => _balloon.Counters.Inflated == 0xb0));
        guest.Reset();
        Assert.NotNull(Give(guest.Start(64).Queues[VirtioBalloon.InflateQueue], Number(0)));
    }

    [Fact]
    public void Free_pages_that_are_reported_go_back_whole_pages_only()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue reports = guest.Start(32).Queues[3];   // one after the other, as Linux counts
        reports.Bytes(Pages, 8 * 4096).Fill(9);
        reports.DescribeChain(0, null, new(Pages + 100, 2 * 4096, true), new(Pages + (4 * 4096), 2 * 4096, true), new(Pages + (7 * 4096), 4095, true));
        Assert.NotNull(reports.Transact(0));
        Assert.Equal(3, _balloon.Counters.Reported);
        Assert.Equal(9, reports.Bytes(Pages, 1)[0]);
        Assert.Equal(-1, reports.Bytes(Pages + 4096, 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(9, reports.Bytes(Pages + (2 * 4096), 1)[0]);
        Assert.Equal(-1, reports.Bytes(Pages + (4 * 4096), 2 * 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(9, reports.Bytes(Pages + (7 * 4096), 1)[0]);
    }

    [Fact]
    public void Target_and_size_go_through_the_configuration()
    {
        using GuestDriver guest = new(_balloon);
        _ = guest.Start(8);
        uint config = GuestDriver.Offset("Config");
        Assert.Equal(2048u, guest.Page.Load<uint>(config));
        _balloon.Target = 16 << 20;
        Assert.Equal(4096u, guest.Page.Load<uint>(config));
        Assert.Equal(2u, guest.InterruptStatus & 2);
        _ = guest.WriteAt(config + 4, 4, 1000);
        Assert.Equal(1000u * 4096, _balloon.Actual);
        Assert.Equal(1000u, guest.Page.Load<uint>(config + 4));
        guest.Reset();
        Assert.Equal(0u, _balloon.Actual);
        Assert.Equal(0u, guest.Page.Load<uint>(config + 4));
        Assert.Equal(16u << 20, _balloon.Target);
    }

    [Fact]
    public async Task Statistics_go_to_and_fro()
    {
        using GuestDriver guest = new(_balloon);
        Assert.Empty(_balloon.Statistics(0));
        GuestQueue statistics = guest.Start(8).Queues[VirtioBalloon.StatisticsQueue];
        Assert.Empty(_balloon.Statistics(1));
        Offer(statistics, 0, (4, 100), (5, 200), (999, 1));
        Assert.True(GuestDriver.Eventually(() => _balloon.Statistics(0).Count == 2));
        Assert.True(GuestDriver.Eventually(() => statistics.TryTakeUsed(out _)));   // it was asked for new ones
        Task<IReadOnlyList<(VirtioBalloonTag, ulong)>> asked = Task.Run(() => _balloon.Statistics(5000));
        Offer(statistics, 0, (4, 101));
        Assert.Equal([(VirtioBalloonTag.FreeMemory, 101ul)], await asked);
    }

    [Fact]
    public void D1_statistics_of_any_length_and_number_are_survived()
    {
        using GuestDriver guest = new(_balloon);
        GuestQueue statistics = guest.Start(8).Queues[VirtioBalloon.StatisticsQueue];
        statistics.DescribeChain(0, null, new(Pages, 0x200_0000, false), new(Pages, 0x200_0000, false));
        statistics.Submit(0);
        for (ushort i = 2; i < 8; i++)
        {
            statistics.DescribeChain(i, null, new Buffer(Pages + i, i, false));
            statistics.Submit(i);
        }
        statistics.Kick();
        // All but one come back: the device keeps one buffer, whatever the driver gives.
        int back = 0;
        Assert.True(GuestDriver.Eventually(() =>
        {
            while (statistics.TryTakeUsed(out _)) back++;
            return back >= 6;
        }));
        Assert.False(guest.NeedsReset);
        _ = _balloon.Statistics(1);
    }

    [Fact]
    public void Waiting_for_statistics_ends_with_a_reset()
    {
        using GuestDriver guest = new(_balloon);
        _ = guest.Start(8);
        Task<IReadOnlyList<(VirtioBalloonTag, ulong)>> asked = Task.Run(() => _balloon.Statistics(60_000));
        Assert.True(GuestDriver.Eventually(() => asked.Status == TaskStatus.Running));
        guest.Reset();
        Assert.True(GuestDriver.Eventually(() => asked.IsCompleted));
    }

    private static uint Number(int index) => (uint)(Pages >> 12) + (uint)index;

    private static VirtqUsedElem? Give(GuestQueue queue, params uint[] pages)
    {
        for (int i = 0; i < pages.Length; i++) queue.Ram.Store(queue.Data + ((ulong)i * 4), pages[i]);
        queue.DescribeChain(0, null, new Buffer(queue.Data, (uint)pages.Length * 4, false));
        return queue.Transact(0);
    }

    private static void Offer(GuestQueue queue, ushort head, params (ushort Tag, ulong Value)[] entries)
    {
        for (int i = 0; i < entries.Length; i++) queue.Ram.Store(queue.Data + ((ulong)i * 10), new VirtioBalloonStatistic { Tag = entries[i].Tag, Value = entries[i].Value });
        queue.DescribeChain(head, null, new Buffer(queue.Data, (uint)entries.Length * 10, false));
        queue.Submit(head);
        queue.Kick();
    }
}
