using MicroVm.Events;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Events;

public class RateLimiterTests
{
    private const long Second = 1_000_000_000;

    [Fact]
    public void Bucket_is_full_at_first_and_no_fuller_later()
    {
        TokenBucket bucket = new(1000, 50, now: 5);
        bucket.Take(49);
        Assert.Equal(0, bucket.Wait(5));
        bucket.Take(1);
        Assert.Equal(1_000_000, bucket.Wait(5));
        Assert.Equal(0, bucket.Wait(100 * Second));
        bucket.Take(50);
        Assert.Equal(1_000_000, bucket.Wait(100 * Second));
    }

    [Theory]
    [InlineData(1ul, 1ul, 1ul)]
    [InlineData(3ul, 1ul, 1ul)]
    [InlineData(7ul, 100ul, 1ul)]
    [InlineData(999_999_937ul, 1000ul, 4096ul)]
    [InlineData(10_000_000ul, 1_000_000ul, 65_536ul)]
    public void Long_run_is_exact(ulong rate, ulong burst, ulong request)
    {
        // Odd steps of time, so that no step is a whole number of tokens; what was taken is the rate's to the last token.
        TokenBucket bucket = new(rate, burst, 0);
        Random random = new(4);
        ulong taken = 0;
        long now = 0;
        for (int i = 0; i < 200_000; i++)
        {
            long wait = bucket.Wait(now);
            if (wait == 0)
            {
                bucket.Take(request);
                taken += request;
            }
            else now += random.Next(3) == 0 ? wait : Math.Max(1, wait / 3);
        }
        Int128 earned = (Int128)now * rate / Second + burst;
        Assert.InRange((Int128)taken, earned - burst - 1, earned + request);
    }

    [Fact]
    public void What_is_waited_for_is_there_afterwards_and_not_before()
    {
        TokenBucket bucket = new(333, 10, 0);
        Random random = new(5);
        long now = 0;
        for (int i = 0; i < 10_000; i++)
        {
            ulong tokens = (ulong)random.Next(1, 25);
            long wait = bucket.Wait(now);
            if (wait > 0)
            {
                Assert.NotEqual(0, bucket.Wait(now + wait - 1));
                now += wait;
                Assert.Equal(0, bucket.Wait(now));
            }
            bucket.Take(tokens);
        }
    }

    [Fact]
    public void Request_larger_than_the_bucket_passes_and_is_paid_for_afterwards()
    {
        TokenBucket bucket = new(100, 10, 0);
        Assert.Equal(0, bucket.Wait(0));
        bucket.Take(1000);
        // 990 are owed, and one more is asked for.
        Assert.Equal(Second / 100 * 991, bucket.Wait(0));
    }

    [Fact]
    public void Extreme_rates_and_times_do_not_overflow()
    {
        TokenBucket bucket = new(ulong.MaxValue, ulong.MaxValue, long.MinValue / 2);
        bucket.Take(ulong.MaxValue);
        Assert.Equal(0, bucket.Wait(long.MaxValue / 2));
        TokenBucket slow = new(1, ulong.MaxValue, 0);
        slow.Take(ulong.MaxValue);
        slow.Take(ulong.MaxValue);
        Assert.Equal(long.MaxValue, slow.Wait(0));
    }

    [Fact]
    public void Limiter_takes_of_both_or_of_none()
    {
        RateLimiter limiter = new(new RateLimits(BytesPerSecond: 1_000_000, OperationsPerSecond: 10, BurstMilliseconds: 1000), 0);
        for (int i = 0; i < 10; i++) Assert.True(limiter.TryTake(1000, 0, out _));
        Assert.False(limiter.TryTake(1000, 0, out long wait));
        Assert.Equal(Second / 10, wait);
        // The refused one took no bytes: 990,000 are left, and with a tenth of a second's the bucket is full.
        Assert.True(limiter.TryTake(1_200_000, Second / 10, out _));
        // 200,000 are owed, of which half is paid; no byte is asked of a flush.
        Assert.False(limiter.TryTake(1, Second / 5, out wait));
        Assert.Equal(100_001 * 1000, wait);
        Assert.True(limiter.TryTake(0, Second / 5, out _));
    }

    [Theory]
    [InlineData(0ul, 500ul)]
    [InlineData(65_536_000ul, 0ul)]
    public void Ten_minutes_by_a_fake_clock(ulong bytes, ulong operations)
    {
        RateLimiter limiter = new(new RateLimits(bytes, operations), 0);
        long now = 0, count = 0;
        while (now < 600 * Second)
        {
            if (limiter.TryTake(4096, now, out long wait)) count++;
            else now += wait;
        }
        double rate = operations != 0 ? operations : bytes / 4096.0;
        // 600 seconds and the burst of a tenth.
        Assert.Equal(rate * 600.1, count, tolerance: 2);
    }

    [Fact]
    public void Limits_may_be_absent()
    {
        Assert.Null(RateLimiter.Of(default));
        RateLimiter limiter = new(new RateLimits(0, 1, 1), 0);
        Assert.True(limiter.TryTake(ulong.MaxValue, 0, out _));
        Assert.False(limiter.TryTake(0, 0, out _));
    }

    [Fact]
    public void Timer_wakes_a_loop_once()
    {
        using HostTimer timer = new();
        using EventLoop loop = new("test", ThreadOwner.Process);
        Counter counter = new();
        loop.Add(timer.Fd, counter, edge: true);
        timer.Set(0);
        Assert.True(SpinWait.SpinUntil(() => counter.Calls == 1, 5000));
        timer.Set(20_000_000);
        Assert.True(SpinWait.SpinUntil(() => counter.Calls == 2, 5000));
        // One that went off again would have been handled before what comes now.
        Virtio.LoopFence.Pass(loop);
        Assert.Equal(2, counter.Calls);
    }

    private sealed class Counter : IEventHandler
    {
        internal volatile int Calls;

        public void OnReady(int token) => Interlocked.Increment(ref Calls);
    }
}
