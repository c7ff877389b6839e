using BenchmarkDotNet.Attributes;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace Dispatch.Bench;

/// <summary>A queue of 256 entries whose driver has made 64 chains available; the device takes and gives back all of them.</summary>
public class QueueWalk
{
    public enum Shape
    {
        /// <summary>One buffer to write.</summary>
        One,
        /// <summary>A block request: header, data, status.</summary>
        Three,
        /// <summary>The same three in an indirect table.</summary>
        Indirect,
    }

    private const int Size = 256, Chains = 64;
    private const ulong Descriptors = 0x10000, Available = 0x20000, Used = 0x30000, Tables = 0x40000, Buffers = 0x100000;
    private const uint DescriptorSize = 16;

    private readonly GuestMemory _memory = GuestMemory.Allocate(4 << 20, 1ul << 31, 1ul << 32);
    private Virtqueue? _queue;
    private ushort _available;

    [Params(Shape.One, Shape.Three, Shape.Indirect)]
    public Shape Chain { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        ulong features = (ulong)(VirtioFeatures.RingIndirectDesc | VirtioFeatures.RingEventIdx | VirtioFeatures.Version1);
        QueueRequest request = new(Size, Descriptors, Available, Used);
        QueueFault fault = QueueSetup.TryCreate(0, request, Size, features, _memory, new EventFd(), out QueueSetup? setup);
        if (setup is null) throw new InvalidOperationException(fault.ToString());
        _queue = new Virtqueue(setup, _memory);
        _available = 0;
        for (int chain = 0; chain < Chains; chain++) Write(chain);
        // The ring's slots repeat: 256 is a multiple of the chains.
        for (int slot = 0; slot < Size; slot++) _memory.TryWrite(Available + 4 + (ulong)slot * 2, (ushort)(slot % Chains * 3));
    }

    [Benchmark(OperationsPerInvoke = Chains, Description = "pop and push")]
    public ushort PopPush()
    {
        Virtqueue queue = _queue!;
        _available += Chains;
        _memory.TryWrite(Available + 2, _available);
        while (queue.TryPop(out Chain chain)) queue.Push(chain.Head, chain.Writable.Length);
        if (queue.Fault != QueueFault.None) throw new InvalidOperationException(queue.Fault.ToString());
        return queue.UsedIndex;
    }

    private void Write(int chain)
    {
        ulong first = Descriptors + (ulong)chain * 3 * DescriptorSize, buffer = Buffers + (ulong)chain * 0x2000;
        ushort head = (ushort)(chain * 3);
        switch (Chain)
        {
            case Shape.One:
                Put(first, buffer, 4096, VirtqDescFlags.Write, 0);
                break;
            case Shape.Three:
                PutThree(first, buffer, head);
                break;
            default:
                ulong table = Tables + (ulong)chain * 64;
                Put(first, table, 3 * DescriptorSize, VirtqDescFlags.Indirect, 0);
                PutThree(table, buffer, 0);
                break;
        }
    }

    private void PutThree(ulong at, ulong buffer, ushort head)
    {
        Put(at, buffer, 16, VirtqDescFlags.Next, (ushort)(head + 1));
        Put(at + DescriptorSize, buffer + 0x200, 4096, VirtqDescFlags.Next | VirtqDescFlags.Write, (ushort)(head + 2));
        Put(at + 2 * DescriptorSize, buffer + 0x1800, 1, VirtqDescFlags.Write, 0);
    }

    private void Put(ulong at, ulong address, uint length, VirtqDescFlags flags, ushort next) =>
        _memory.TryWrite(at, new VirtqDesc { Addr = address, Len = length, Flags = (ushort)flags, Next = next });
}
