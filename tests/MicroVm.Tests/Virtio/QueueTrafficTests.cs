using System.Diagnostics;
using MicroVm.Devices;
using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Much traffic: wraps, storms, resets under way, a hostile second vCPU, and what it all costs.</summary>
public sealed class QueueTrafficTests : IDisposable
{
    private readonly EventLoop _loop = new("test", ThreadOwner.Process);

    public void Dispose() => _loop.Dispose();

    [Theory]
    [InlineData(1, true)]
    [InlineData(64, true)]
    [InlineData(256, true)]
    [InlineData(64, false)]
    public void Q4_Q13_a_polite_driver_gets_every_answer_across_many_wraps(int size, bool eventIndex)
    {
        EchoDevice device = new(_loop);
        using GuestDriver guest = new(device);
        GuestQueue queue = guest.Start((uint)size, eventIndex ? GuestDriver.AllFeatures : ~(ulong)VirtioFeatures.RingEventIdx).Queues[0];
        int requests = size == 1 ? 100_000 : 1_000_000;
        int sent = 0, answered = 0, kicks = 0, interrupts = 0;
        bool[] inFlight = new bool[size];
        for (int i = 0; i < size; i++) queue.DescribeChain(i, null, new Buffer(queue.Data, 4, false));
        while (answered < requests)
        {
            ushort before = queue.Next;
            for (ushort head = 0; head < size && sent < requests; head++)
            {
                if (inFlight[head]) continue;
                inFlight[head] = true;
                queue.Offer(head);
                sent++;
            }
            if (queue.Next != before)
            {
                queue.Publish();
                if (queue.KickIfWanted(before)) kicks++;
            }
            // As Linux does: sleep until the interrupt, then take all, ask for the next one and look again.
            if (!WaitForLine(guest, 10_000)) break;
            interrupts++;
            while (true)
            {
                while (queue.TryTakeUsed(out VirtqUsedElem e))
                {
                    Assert.True(e.Id < size && inFlight[e.Id]);
                    inFlight[e.Id] = false;
                    answered++;
                }
                Interlocked.MemoryBarrier();
                if (!queue.HasUsed) break;
            }
        }
        Assert.Equal((requests, requests, false), (sent, answered, guest.NeedsReset));
        Assert.Equal(requests, device.Served);
        Assert.InRange(kicks, 1, requests);
        Assert.InRange(interrupts, 1, requests);
    }

    [Fact]
    public void Nothing_is_allocated_per_request()
    {
        EchoDevice device = new(_loop);
        using GuestDriver guest = new(device);
        GuestQueue queue = guest.Start(256).Queues[0];
        Pump(queue, 1000);
        long before = Volatile.Read(ref device.Allocated);
        Pump(queue, 100_000);
        Assert.Equal(before, Volatile.Read(ref device.Allocated));
        Assert.Equal(0, before);
    }

    [Fact]
    public void Q12_notify_storm_on_an_empty_ring_costs_little_and_holds_up_nobody()
    {
        EchoDevice a = new(_loop), b = new(_loop);
        using GuestDriver storm = new(a);
        using GuestDriver other = new(b);
        GuestQueue quiet = storm.Start(8).Queues[0], busy = other.Start(8).Queues[0];
        busy.DescribeChain(0, null, new Buffer(busy.Data, 4, false));
        using ManualResetEventSlim stop = new();
        Thread noise = new(() =>
        {
            for (int i = 0; i < 1_000_000 && !stop.IsSet; i++) quiet.Kick();
        });
        noise.Start();
        for (int i = 0; i < 1000; i++) Assert.NotNull(busy.Transact(0));
        stop.Set();
        noise.Join();
        Assert.Equal(0, a.Served);
        Assert.False(storm.NeedsReset);
    }

    [Fact]
    public void Q12_notifies_through_the_register_of_wrong_queues_and_states()
    {
        EchoDevice device = new(_loop);
        using GuestDriver guest = new(device);
        for (int i = 0; i < 1000; i++) _ = guest.Write("QueueNotify", (uint)i);
        Assert.Equal(999, guest.Errors.Count);
        GuestQueue queue = guest.Start(8).Queues[0];
        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
        queue.Submit(0);
        _ = guest.Write("QueueNotify", 0);
        Assert.NotNull(queue.Wait());
        guest.Reset();
        _ = guest.Write("QueueNotify", 0);
        Assert.Equal(0u, guest.Status);
    }

    [Fact]
    public void Q13_garbage_in_the_event_indices_loses_interrupts_of_that_driver_only()
    {
        EchoDevice device = new(_loop);
        using GuestDriver guest = new(device);
        GuestQueue queue = guest.Start(8).Queues[0];
        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
        Random random = new(3);
        for (int i = 0; i < 10_000; i++)
        {
            queue.Ram.StoreIndex(queue.Available + 4 + 8 * 2, (ushort)random.Next());
            queue.Ram.StoreIndex(queue.Available, (ushort)random.Next());
            queue.Ram.StoreIndex(queue.Used + 4 + 8 * 8, (ushort)random.Next());
            Assert.NotNull(queue.Transact(0));
        }
    }

    [Fact]
    public void Q13_NO_INTERRUPT_is_respected()
    {
        EchoDevice device = new(_loop);
        using GuestDriver guest = new(device);
        GuestQueue queue = guest.Start(8, ~(ulong)VirtioFeatures.RingEventIdx).Queues[0];
        queue.DescribeChain(0, null, new Buffer(queue.Data, 4, false));
        queue.Ram.StoreIndex(queue.Available, VirtqConst.AvailNoInterrupt);
        for (int i = 0; i < 100; i++) Assert.NotNull(queue.Transact(0));
        Assert.Equal(0ul, guest.Line.Event.Drain());
        queue.Ram.StoreIndex(queue.Available, 0);
        Assert.NotNull(queue.Transact(0));
        Assert.True(WaitForLine(guest, 5000));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(256)]
    public void Q14_reset_with_requests_in_flight_waits_for_them_and_touches_nothing_later(int inFlight)
    {
        bool hold = true;
        using ManualResetEventSlim held = new();
        EchoDevice device = new(_loop, 256, () =>
        {
            held.Set();
            return Volatile.Read(ref hold);
        });
        using GuestDriver guest = new(device);
        GuestQueue queue = guest.Start(256).Queues[0];
        for (int i = 0; i < inFlight; i++)
        {
            queue.DescribeChain(i, null, new Buffer(queue.Data, 4, true));
            queue.Offer((ushort)i);
        }
        queue.Publish();
        queue.Kick();
        Assert.True(held.Wait(5000));
        Thread reset = new(guest.Reset);
        reset.Start();
        Assert.True(GuestDriver.Waits(reset));
        Volatile.Write(ref hold, false);
        Assert.True(reset.Join(5000));
        Assert.InRange(device.Served, 0, 1);
        Span<byte> used = queue.Bytes(queue.Used, 256 * 8 + 6);
        used.Fill(0xcc);
        // The next life is smaller and elsewhere; the old ring stays as it is.
        Assert.True(guest.Negotiate());
        GuestQueue small = new(guest, 0, 4, 0x100_0000);
        guest.SetQueue(0, 4, small.Descriptors, small.Available, small.Used);
        guest.DriverOk();
        small.DescribeChain(0, null, new Buffer(small.Data, 4, true));
        for (int i = 0; i < 50; i++) Assert.NotNull(small.Transact(0));
        Assert.Equal(-1, used.IndexOfAnyExcept((byte)0xcc));
    }

    [Fact]
    public void Q14_reset_at_random_moments_under_traffic()
    {
        EchoDevice device = new(_loop, 64);
        using GuestDriver guest = new(device);
        Random random = new(5);
        for (int round = 0; round < 2000; round++)
        {
            GuestQueue queue = guest.Start(64).Queues[0];
            for (ushort i = 0; i < 64; i++)
            {
                queue.DescribeChain(i, null, new Buffer(queue.Data, 4, true));
                queue.Offer(i);
            }
            queue.Publish();
            queue.Kick();
            Thread.SpinWait(random.Next(20_000));
            guest.Reset();
            ushort used = queue.UsedIndex;
            Thread.SpinWait(100);
            Assert.Equal(used, queue.UsedIndex);
        }
    }

    [Fact]
    public void Q11_second_vCPU_rewrites_everything_while_the_device_reads_it()
    {
        EchoDevice device = new(_loop, 64);
        using GuestDriver guest = new(device);
        bool stop = false;
        GuestQueue queue = guest.Start(64).Queues[0];
        Thread hostile = new(() =>
        {
            Random random = new(11);
            ulong[] addresses = [queue.Data, GuestDriver.Ram - 8, ulong.MaxValue, queue.Used, queue.Descriptors, 0];
            while (!Volatile.Read(ref stop))
            {
                for (int i = 0; i < 64; i++)
                {
                    ulong at = queue.Descriptors + (ulong)i * 16;
                    switch (random.Next(5))
                    {
                        case 0: queue.Ram.Store(at, addresses[random.Next(addresses.Length)]); break;
                        case 1: queue.Ram.Store(at + 8, (uint)random.Next() >> random.Next(32)); break;
                        case 2: queue.Ram.Store(at + 12, (ushort)random.Next(8)); break;
                        case 3: queue.Ram.Store(at + 14, (ushort)random.Next(66)); break;
                        default: queue.Ram.Store(queue.Available + 4 + (ulong)i * 2, (ushort)random.Next(64)); break;
                    }
                }
            }
        });
        hostile.Start();
        long start = Stopwatch.GetTimestamp();
        int lives = 0;
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(3))
        {
            if (guest.NeedsReset || lives == 0)
            {
                lives++;
                _ = guest.Start(64);
                queue.Next = 0;
            }
            queue.Next++;
            queue.Publish();
            queue.Kick();
        }
        Volatile.Write(ref stop, true);
        hostile.Join();
        Assert.True(lives > 10);
        GuestQueue again = guest.Start(64).Queues[0];
        again.DescribeChain(0, null, new Buffer(again.Data, 4, false));
        Assert.NotNull(again.Transact(0));
    }

    private static void Pump(GuestQueue queue, int requests)
    {
        for (ushort i = 0; i < 256; i++) queue.DescribeChain(i, null, new Buffer(queue.Data, 4, false));
        for (int done = 0; done < requests;)
        {
            int batch = Math.Min(256, requests - done);
            for (ushort i = 0; i < batch; i++) queue.Offer(i);
            queue.Publish();
            queue.Kick();
            for (int i = 0; i < batch;)
            {
                if (queue.TryTakeUsed(out _)) i++;
                else Thread.SpinWait(20);
            }
            done += batch;
        }
    }

    private static bool WaitForLine(GuestDriver guest, int milliseconds)
    {
        if (!Kvm.HostIo.Wait(guest.Line.Event.Fd, Kvm.Libc.EPOLLIN, milliseconds)) return false;
        guest.Line.Event.Drain();
        return true;
    }
}
