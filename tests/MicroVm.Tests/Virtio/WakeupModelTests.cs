using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>All interleavings of a producer and a consumer that suppress each other's notifications, with the store buffers of x86:
/// the algorithm of Virtqueue.TakeSignal and EnableKicks, and of every driver, on both rings.</summary>
public class WakeupModelTests
{
    private const int Items = 4;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Q13_no_wakeup_is_lost(bool eventIndex) => Assert.False(new Model(eventIndex, true, true).LosesWakeup());

    [Theory]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(false, false, true)]
    [InlineData(false, true, false)]
    public void Q13_model_finds_a_missing_fence(bool eventIndex, bool producerFence, bool consumerFence) =>
        Assert.True(new Model(eventIndex, producerFence, consumerFence).LosesWakeup());

    // Producer: 0 publish, 1 publish another or go on, 2 fence, 3 read the wish and notify. Consumer: 0 asleep, 1 look, 2 ask, 3 fence, 4 look again.
    // Buffer: one store of each side that the other does not see yet, -1 for none.
    private readonly record struct State(int P, int C, int Index, int Buffered, int Wish, int WishBuffered, int Last, int Seen, bool Event, int Made);

    private sealed class Model(bool eventIndex, bool producerFence, bool consumerFence)
    {
        private readonly HashSet<State> _seen = [];
        private readonly Stack<State> _todo = [];

        internal bool LosesWakeup()
        {
            // The consumer starts asleep and asks for the first item: event index 0, or flag 0.
            Add(new State(0, 0, 0, -1, 0, -1, 0, 0, false, 0));
            while (_todo.TryPop(out State s))
            {
                bool moved = Producer(s) | Consumer(s) | Drain(s);
                if (!moved && s.Seen != Items) return true;
            }
            return false;
        }

        private bool Producer(State s)
        {
            switch (s.P)
            {
                case 0 when s.Made == Items: return false;
                case 0 or 1 when s.Made < Items && s.Buffered < 0:
                    Add(s with { Buffered = s.Made + 1, Made = s.Made + 1, P = 1 });
                    if (s.P == 1) Add(s with { P = 2 });
                    return true;
                case 1:
                    Add(s with { P = 2 });
                    return true;
                case 2 when !producerFence || s.Buffered < 0:
                    Add(s with { P = 3 });
                    return true;
                case 3:
                    bool wanted = eventIndex ? (ushort)(s.Made - s.Wish - 1) < (ushort)(s.Made - s.Last) : s.Wish == 0;
                    Add(s with { P = 0, Last = s.Made, Event = s.Event || wanted });
                    return true;
                default: return false;
            }
        }

        private bool Consumer(State s)
        {
            switch (s.C)
            {
                case 0 when s.Event:
                    if (eventIndex) Add(s with { C = 1, Event = false });
                    else if (s.WishBuffered < 0) Add(s with { C = 1, Event = false, WishBuffered = 1 });
                    else return false;
                    return true;
                case 1:
                    Add(s.Index != s.Seen ? s with { Seen = s.Index } : s with { C = 2 });
                    return true;
                case 2 when s.WishBuffered < 0:
                    Add(s with { C = 3, WishBuffered = eventIndex ? s.Seen : 0 });
                    return true;
                case 3 when !consumerFence || s.WishBuffered < 0:
                    Add(s with { C = 4 });
                    return true;
                case 4:
                    Add(s with { C = s.Index != s.Seen ? 1 : 0 });
                    return true;
                default: return false;
            }
        }

        private bool Drain(State s)
        {
            if (s.Buffered >= 0) Add(s with { Index = s.Buffered, Buffered = -1 });
            if (s.WishBuffered >= 0) Add(s with { Wish = s.WishBuffered, WishBuffered = -1 });
            return s.Buffered >= 0 || s.WishBuffered >= 0;
        }

        private void Add(State s)
        {
            if (_seen.Add(s)) _todo.Push(s);
        }
    }
}
