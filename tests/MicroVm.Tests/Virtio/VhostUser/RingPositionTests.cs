using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;
using MicroVm.Virtio.VhostUser;
using Xunit;

namespace MicroVm.Tests.Virtio.VhostUser;

/// <summary>Queues that are left in the middle, by a driver that gives out the head that came back last, as Linux does, and a backend that finishes in another order than it began.</summary>
public sealed class RingPositionTests
{
    private const ulong Descriptors = 0x1_0000, Available = 0x2_0000, Used = 0x3_0000;
    private const int Runs = 300;

    [Theory]
    // In order: nothing has to be inferred.
    [InlineData(64, 16, 1, 300, 300)]
    // Batches, the last of each first: virtiofsd.
    [InlineData(16, 4, int.MaxValue, 290, 200)]
    [InlineData(256, 32, int.MaxValue, 290, 60)]
    [InlineData(1024, 32, int.MaxValue, 290, 40)]
    // Any of the four oldest.
    [InlineData(64, 8, 4, 285, 150)]
    [InlineData(256, 16, 4, 285, 150)]
    public void Requests_under_way_are_found(ushort size, int depth, int reach, int atLeast, int byIndexAlone)
    {
        int found = 0, naive = 0;
        for (int seed = 0; seed < Runs; seed++)
        {
            using Ring ring = new(size);
            HashSet<ushort> open = ring.Run(new Random(seed), depth, reach);
            if (open.SetEquals(ring.Pending())) naive++;
            Assert.Equal(ring.UsedIndex, RingPosition.Rewind(ring.Setup));
            if (open.SetEquals(ring.Pending())) found++;
        }
        Assert.True(found >= atLeast, $"found {found}");
        Assert.True(naive <= byIndexAlone, $"by the index alone {naive}");
    }

    [Fact]
    public void Rings_without_sense_are_left_alone()
    {
        using Ring ring = new(16);
        ring.Ram.Store(Available + 2, (ushort)9);
        for (uint i = 0; i < 16; i++) ring.Ram.Store(Available + 4 + i * 2, (ushort)0xffff);
        Assert.Equal(0, RingPosition.Rewind(ring.Setup));
        Assert.Equal(0xffff, ring.Ram.Load<ushort>(Available + 4));
        ring.Ram.Store(Available + 2, (ushort)1000);
        Assert.Equal(0, RingPosition.Rewind(ring.Setup));
    }

    private sealed class Ring : IDisposable
    {
        private readonly GuestMemory _memory = GuestMemory.Allocate(1 << 20 << 1, 0xc000_0000, 0x1_0000_0000);
        private readonly EventFd _kick = new();
        private readonly Stack<ushort> _free = [];
        private ushort _available;

        internal Ring(ushort size)
        {
            _ = _memory.TryRange(0, 1 << 20, out HostRange ram);
            Ram = ram;
            Assert.Equal(QueueFault.None, QueueSetup.TryCreate(0, new QueueRequest(size, Descriptors, Available, Used), size, 0, _memory, _kick, out QueueSetup? setup));
            Setup = setup!;
            for (int head = size - 1; head >= 0; head--) _free.Push((ushort)head);
        }

        internal HostRange Ram { get; }
        internal QueueSetup Setup { get; }
        internal ushort UsedIndex { get; private set; }

        internal HashSet<ushort> Run(Random random, int depth, int reach)
        {
            List<ushort> offered = [], batch = [];
            for (int steps = random.Next(1, 8 * Setup.Size); steps > 0; steps--)
            {
                if (offered.Count + batch.Count < depth && random.Next(20) < 11)
                {
                    ushort head = _free.Pop();
                    offered.Add(head);
                    Ram.Store(Available + 4 + _available++ % (uint)Setup.Size * 2, head);
                    continue;
                }
                if (reach != int.MaxValue || batch.Count == 0) (batch, offered) = ([.. batch, .. offered], []);
                if (batch.Count == 0) continue;
                int at = reach == int.MaxValue ? batch.Count - 1 : random.Next(Math.Min(reach, batch.Count));
                Ram.Store(Used + 4 + UsedIndex++ % (uint)Setup.Size * 8, new VirtqUsedElem { Id = batch[at] });
                _free.Push(batch[at]);
                batch.RemoveAt(at);
            }
            Ram.Store(Available + 2, _available);
            Ram.Store(Used + 2, UsedIndex);
            return [.. offered, .. batch];
        }

        internal List<ushort> Pending()
        {
            List<ushort> heads = [];
            for (ushort i = UsedIndex; i != _available; i++) heads.Add(Ram.Load<ushort>(Available + 4 + i % (uint)Setup.Size * 2));
            return heads;
        }

        public void Dispose()
        {
            _memory.Dispose();
            _kick.Dispose();
        }
    }
}
