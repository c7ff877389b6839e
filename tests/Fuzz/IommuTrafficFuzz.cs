using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Iommu;
using MicroVm.Virtio.Queue;

namespace MicroVm.Fuzz;

/// <summary>A device that writes into buffers behind the guest's IOMMU while the guest takes mappings away: from the
/// moment an Unmap is answered with Ok no byte of the pages changes any more, not even of a request that was under
/// way.</summary>
/// <remarks>The device has a thread of its own: interleavings are not brought back by a seed.</remarks>
public sealed class IommuTrafficFuzz
{
    private const uint Endpoint = 0x10, Domain = 1;
    private const ulong Rings = 0x10_0000, RingsSeen = 0x4000_0000;
    private const ulong Pages = 0x20_0000, PagesSeen = 0x5000_0000, Page = 4096;
    private const int Count = 8;
    private const VirtioIommuAccess ReadWrite = VirtioIommuAccess.Read | VirtioIommuAccess.Write;

    [Fact]
    public void What_was_unmapped_is_written_no_more()
    {
        Reach reach = new("written", "unmapped", "queue broken");
        FuzzRun.Run("virtio-iommu, traffic", random => new Life(random, reach).Run(), reach: reach);
    }

    private sealed class Life(Random random, Reach reach)
    {
        private readonly bool[] _mapped = new bool[Count];
        private readonly EventFd _kick = new();
        private readonly byte[] _bytes = new byte[2 * Page];
        private IommuTable _table = null!;
        private GuestMemory _memory = null!;
        private VirtioEndpoint _endpoint = null!;

        internal void Run()
        {
            using GuestMemory memory = _memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000);
            _table = new IommuTable(memory);
            _endpoint = new VirtioEndpoint(Endpoint, "fuzz", memory, _table.Everything, static (_, _, _, _) => { });
            _table.Add(_endpoint);
            Assert.Equal(VirtioIommuStatus.Ok, _table.Attach(Domain, Endpoint, 0));
            IommuMapping rings = new(RingsSeen, RingsSeen + 0x2fff, Rings, ReadWrite);
            Assert.Equal(VirtioIommuStatus.Ok, _table.Map(Domain, rings));
            Array.Fill(_bytes, (byte)0xd1);
            for (int page = 0; page < Count; page++) PageOf(page).Fill(0xca);
            for (int activation = 0; activation < 20; activation++) Activate();
            _kick.Dispose();
        }

        // The device's side is a queue and a thread that serves it, as a device's loop does.
        private void Activate()
        {
            Assert.True(_memory.TryRange(Rings, 0x3000, out HostRange rings));
            rings.Span.Clear();
            QueueRequest request = new(8, RingsSeen, RingsSeen + 0x1000, RingsSeen + 0x2000);
            QueueFault fault = QueueSetup.TryCreate(0, request, 8, 0, _memory, _endpoint, _kick, out QueueSetup? setup);
            Assert.Equal(QueueFault.None, fault);
            Virtqueue queue = new(setup!, _memory);
            bool over = false;
            int seed = random.Next();
            Thread device = new(() =>
            {
                Random pace = new(seed);
                while (!Volatile.Read(ref over) && queue.Fault == QueueFault.None)
                {
                    while (queue.TryPop(out Chain chain))
                    {
                        // As if the host took its time, and a buffer is known for all of it.
                        Thread.SpinWait(pace.Next(2000));
                        queue.Push(chain.Head, chain.Writable.Fill(_bytes));
                    }
                    _ = Thread.Yield();
                }
            });
            device.Start();
            try
            {
                for (ushort i = 0; i < 100 && queue.Fault == QueueFault.None; i++) Step(rings, i);
            }
            finally
            {
                Volatile.Write(ref over, true);
                device.Join();
            }
            if (queue.Fault != QueueFault.None) reach.Add("queue broken");
            _endpoint.Forget();
        }

        private void Step(HostRange rings, ushort step)
        {
            // A request of one page or two; mostly of such as are mapped, as the others end the queue.
            int first = random.Next(Count), change = random.Next(Count), two = random.Next(2);
            if (!_mapped[first] && random.Next(16) != 0) Map(first);
            if (first + two >= Count || !_mapped[first + two]) two = 0;
            ushort head = (ushort)(step % 8);
            uint length = (uint)((1 + two) * (int)Page);
            VirtqDesc descriptor = new() { Addr = Seen(first), Len = length, Flags = (ushort)VirtqDescFlags.Write };
            rings.Store((ulong)head * 16, descriptor);
            rings.Store(0x1004 + (ulong)head * 2, head);
            rings.StoreIndex(0x1002, (ushort)(step + 1));
            Thread.SpinWait(random.Next(2000));
            // While it is under way, or just before, or just behind.
            if (_mapped[change]) Unmap(change);
            else Map(change);
            _ = GuestDriver.Eventually(() => rings.LoadIndex(0x2002) == step + 1, 2);
            if (rings.LoadIndex(0x2002) == step + 1) reach.Add("written");
            for (int page = 0; page < Count; page++)
            {
                if (_mapped[page]) continue;
                bool changed = PageOf(page).ContainsAnyExcept((byte)0xca);
                Assert.False(changed, $"page {page} was written after it was unmapped");
            }
        }

        private void Map(int page)
        {
            if (_mapped[page]) return;
            IommuMapping mapping = new(Seen(page), Seen(page) + Page - 1, Pages + (ulong)page * Page, ReadWrite);
            Assert.Equal(VirtioIommuStatus.Ok, _table.Map(Domain, mapping));
            _mapped[page] = true;
        }

        private void Unmap(int page)
        {
            Assert.Equal(VirtioIommuStatus.Ok, _table.Unmap(Domain, Seen(page), Seen(page) + Page - 1));
            PageOf(page).Fill(0xca);
            _mapped[page] = false;
            reach.Add("unmapped");
        }

        private static ulong Seen(int page) => PagesSeen + (ulong)page * Page;

        private Span<byte> PageOf(int page)
        {
            Assert.True(_memory.TryRange(Pages + (ulong)page * Page, Page, out HostRange range));
            return range.Span;
        }
    }
}
