using MicroVm.Devices;
using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Requests that are under way in the host's kernel, for as long as the test likes: the image is the reading end of a pipe.</summary>
public sealed class BlockFlightTests
{
    private const uint Size = 256;

    [Fact]
    public void Q14_reset_with_256_in_flight_answers_none_of_them_and_touches_no_memory_afterwards()
    {
        using PipeGuest guest = new();
        GuestQueue old = guest.Driver.Start(Size).Queues[0];
        for (ushort i = 0; i < Size; i++) guest.Read(old, i);
        old.Publish();
        old.Kick();
        Assert.True(guest.AllBegun());
        Assert.Equal(0, old.UsedIndex);

        guest.Driver.Reset();
        Assert.Equal(0, old.UsedIndex);
        old.Bytes(BlockGuest.DataAt, 512).Clear();
        guest.Feed(64);
        GuestQueue queue = guest.Driver.Start(32).Queues[0];
        Assert.Equal(-1, queue.Bytes(BlockGuest.DataAt, 512).IndexOfAnyExcept((byte)0));

        // The new queue is served, and by its own requests alone: they get all that was fed, so that nothing of it went to the old ones.
        for (int round = 0; round < 2; round++)
        {
            for (ushort i = 0; i < 32; i++) guest.Read(queue, i);
            queue.Publish();
            queue.Kick();
            bool[] seen = new bool[32];
            for (int i = 0; i < 32; i++)
            {
                VirtqUsedElem used = queue.Wait()!.Value;
                Assert.False(seen[used.Id]);
                seen[used.Id] = true;
            }
        }
        Assert.Equal(64, queue.UsedIndex);
        Assert.False(guest.Driver.NeedsReset);
    }

    [Fact]
    public void Q14_reset_at_any_moment_of_much_traffic()
    {
        using PipeGuest guest = new();
        Random random = new(11);
        for (int life = 0; life < 60; life++)
        {
            uint size = 1u << random.Next(0, 9);
            GuestQueue queue = guest.Driver.Start(size).Queues[0];
            uint count = (uint)random.Next(0, (int)size + 1);
            for (ushort i = 0; i < count; i++) guest.Read(queue, i);
            queue.Publish();
            queue.Kick();
            guest.Feed((uint)random.Next(0, 40));
            Thread.SpinWait(random.Next(20_000));
            if (random.Next(2) == 0) guest.Driver.Reset();
        }
        guest.Feed(64);
        GuestQueue last = guest.Driver.Start(8).Queues[0];
        guest.Read(last, 0);
        last.Publish();
        last.Kick();
        Assert.Equal(513u, last.Wait()!.Value.Len);
    }

    [Fact]
    public void Q10_head_that_is_in_flight_breaks_the_queue_when_it_is_offered_again()
    {
        using PipeGuest guest = new();
        GuestQueue queue = guest.Driver.Start(Size).Queues[0];
        guest.Read(queue, 7);
        queue.Publish();
        queue.Kick();
        Assert.True(guest.AllBegun());
        guest.Read(queue, 7);
        queue.Publish();
        queue.Kick();
        Assert.True(guest.Driver.WaitForReset());
        // What was under way ends, and is answered to nobody: nor before the reset, which waits for the queue's thread.
        guest.Feed(1);
        Assert.True(GuestDriver.Eventually(() => queue.Bytes(BlockGuest.DataAt + 511, 1)[0] == 0xa5));
        guest.Driver.Reset();
        Assert.Equal(0, queue.UsedIndex);
        queue = guest.Driver.Start(4).Queues[0];
        guest.Feed(1);
        guest.Read(queue, 0);
        queue.Publish();
        queue.Kick();
        Assert.NotNull(queue.Wait());
    }

    [Fact]
    public void Requests_are_answered_in_the_order_in_which_they_are_done()
    {
        using PipeGuest guest = new();
        GuestQueue queue = guest.Driver.Start(Size).Queues[0];
        guest.Read(queue, 0);
        queue.Publish();
        queue.Kick();
        Assert.True(guest.AllBegun());
        // The second one is refused at once, while the first waits for its data.
        queue.Ram.Store(BlockGuest.HeaderAt + 16, new VirtioBlockHeader { Type = (uint)VirtioBlockType.In, Sector = ulong.MaxValue });
        queue.DescribeChain(3, null, new(BlockGuest.HeaderAt + 16, 16, false), new(BlockGuest.DataAt, 512, true), new(BlockGuest.StatusAt + 1, 1, true));
        Assert.Equal(3u, queue.Transact(3)!.Value.Id);
        guest.Feed(1);
        Assert.Equal(0u, queue.Wait()!.Value.Id);
    }

    [Fact]
    public void Image_that_ends_meanwhile_fails_what_is_in_flight()
    {
        using PipeGuest guest = new();
        GuestQueue queue = guest.Driver.Start(Size).Queues[0];
        guest.Read(queue, 0);
        queue.Publish();
        queue.Kick();
        Assert.True(guest.AllBegun());
        guest.Feed(0, then: 100);
        guest.CloseWriter();
        Assert.Equal(1u, queue.Wait()!.Value.Len);
        Assert.Equal((byte)VirtioBlockStatus.IoErr, queue.Bytes(BlockGuest.StatusAt, 1)[0]);
    }
}
