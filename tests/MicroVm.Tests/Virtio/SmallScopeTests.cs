using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;
using Xunit;

namespace MicroVm.Tests.Virtio;

/// <summary>Every table of 1, 2 and 4 descriptors over a small alphabet, against a second reading of the specification.</summary>
public sealed class SmallScopeTests : IDisposable
{
    private const ulong Desc = 0x1000, Avail = 0x2000, Used = 0x3000, Table = 0x4000, Data = 0x5000;
    private const VirtqDescFlags N = VirtqDescFlags.Next, W = VirtqDescFlags.Write, I = VirtqDescFlags.Indirect;

    private static readonly VirtqDesc[] s_alphabet =
    [
        D(Data, 8, 0), D(Data, 8, W), D(Data, 8, N, 0), D(Data, 8, N, 1), D(Data, 8, N | W, 2), D(Data, 8, N, 3), D(Data, 8, N, 4),
        D(1 << 20, 1, 0), D(0, 0, N | W, 1), D(Table, 32, I), D(Table, 32, I | N, 1), D(Table, 20, I), D((1 << 20) - 16, 32, I),
    ];

    private static readonly VirtqDesc[] s_nested = [D(Data, 4, 0), D(Data, 4, N, 1), D(Data, 4, N | W, 1), D(Table, 16, I), D(Data, 4, N, 2)];

    private readonly GuestMemory _memory = GuestMemory.Allocate(1 << 20, 1 << 30, 1UL << 32);
    private readonly EventFd _kick = new();

    public void Dispose()
    {
        _memory.Dispose();
        _kick.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Every_small_queue_gives_what_the_specification_says(int size)
    {
        long cases = 0;
        int letters = s_alphabet.Length, tables = (int)Math.Pow(letters, size);
        for (int nested = 0; nested < s_nested.Length * s_nested.Length; nested++)
        {
            // Large tables meet the nested ones that make a difference; small ones meet all.
            if (size == 4 && nested % 7 != 0) continue;
            Put(Table, s_nested[nested % s_nested.Length]);
            Put(Table + 16, s_nested[nested / s_nested.Length]);
            for (int code = 0; code < tables; code++)
            {
                for (int i = 0, rest = code; i < size; i++, rest /= letters) Put(Desc + (ulong)i * 16, s_alphabet[rest % letters]);
                for (ushort head = 0; head <= size; head++)
                {
                    Check(size, head);
                    cases++;
                }
            }
        }
        Assert.True(cases > 50);
    }

    private void Check(int size, ushort head)
    {
        _memory.TryWrite(Avail + 2, (ushort)1);
        _memory.TryWrite(Avail + 4, head);
        Assert.Equal(QueueFault.None, QueueSetup.TryCreate(0, new QueueRequest((uint)size, Desc, Avail, Used), (ushort)size,
            (ulong)VirtioFeatures.RingIndirectDesc, _memory, _kick, out QueueSetup? setup));
        Virtqueue queue = new(setup!, _memory);
        bool popped = queue.TryPop(out Chain chain);
        (bool legal, uint readable, uint writable) = Expect(size, head);
        Assert.Equal(legal, popped);
        Assert.Equal(legal, queue.Fault == QueueFault.None);
        if (!legal) return;
        Assert.Equal((readable, writable), (chain.Readable.Length, chain.Writable.Length));
    }

    // Written without looking at the product: collect the list first, judge it afterwards.
    private (bool Legal, uint Readable, uint Writable) Expect(int size, int head)
    {
        List<VirtqDesc> list = [];
        ulong table = Desc;
        int entries = size, at = head;
        bool inside = false;
        while (true)
        {
            if (at >= entries || list.Count > size) return default;
            _memory.TryRead(table + (ulong)at * 16, out VirtqDesc d);
            var flags = (VirtqDescFlags)d.Flags;
            if (flags.HasFlag(I))
            {
                if (inside || flags.HasFlag(N) || d.Len == 0 || d.Len % 16 != 0 || d.Addr + d.Len > 1 << 20) return default;
                (table, entries, at, inside) = (d.Addr, (int)d.Len / 16, 0, true);
                continue;
            }
            list.Add(d);
            if (!flags.HasFlag(N)) break;
            at = d.Next;
        }
        if (list.Count > size || list.Any(d => d.Len != 0 && d.Addr + d.Len > 1 << 20)) return default;
        static bool Writes(VirtqDesc d) => ((VirtqDescFlags)d.Flags & W) != 0;
        if (list.SkipWhile(d => !Writes(d)).Any(d => !Writes(d))) return default;
        return (true, (uint)list.Where(d => !Writes(d)).Sum(d => d.Len), (uint)list.Where(Writes).Sum(d => d.Len));
    }

    private void Put(ulong address, VirtqDesc d) => _memory.TryWrite(address, d);

    private static VirtqDesc D(ulong address, uint length, VirtqDescFlags flags, ushort next = 0) => new() { Addr = address, Len = length, Flags = (ushort)flags, Next = next };
}
