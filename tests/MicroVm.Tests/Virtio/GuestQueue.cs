using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Tests.Virtio;

/// <summary>One buffer of a chain, as the driver describes it.</summary>
internal readonly record struct Buffer(ulong Address, uint Length, bool Writable);

/// <summary>The driver's side of a split queue: knows the rules, and how to break each.</summary>
internal sealed class GuestQueue
{
    private readonly GuestDriver _guest;
    private readonly HostRange _ram;
    private ushort _seen;

    internal GuestQueue(GuestDriver guest, int index, ushort size, ulong at)
    {
        (_guest, Index, Size) = (guest, index, size);
        Descriptors = at;
        Available = at + 0x8_0000;
        Used = at + 0xa_0000;
        Data = at + 0xf_0000;
        if (!guest.Memory.TryRange(0, guest.Memory.Regions[0].Length, out _ram)) throw new InvalidOperationException();
        Clear();
    }

    internal int Index { get; }
    internal ushort Size { get; }
    internal ulong Descriptors { get; }
    internal ulong Available { get; }
    internal ulong Used { get; }
    /// <summary>64 KiB for the test's own use.</summary>
    internal ulong Data { get; }

    /// <summary>Index of the next entry of the available ring.</summary>
    internal ushort Next { get; set; }

    internal bool EventIndex => (_guest.Features & (ulong)VirtioFeatures.RingEventIdx) != 0;

    internal HostRange Ram => _ram;

    internal void Clear()
    {
        _ram.Slice(Descriptors, Size * 16u).Span.Clear();
        _ram.Slice(Available, Size * 2u + 6).Span.Clear();
        _ram.Slice(Used, Size * 8u + 6).Span.Clear();
        (Next, _seen) = (0, 0);
    }

    internal void Describe(int index, ulong address, uint length, VirtqDescFlags flags, ushort next = 0, ulong? table = null) =>
        _ram.Store((table ?? Descriptors) + (ulong)index * 16, new VirtqDesc { Addr = address, Len = length, Flags = (ushort)flags, Next = next });

    /// <summary>Writes a chain into consecutive descriptors.</summary>
    internal void DescribeChain(int first, ulong? table, params ReadOnlySpan<Buffer> buffers)
    {
        for (int i = 0; i < buffers.Length; i++)
        {
            VirtqDescFlags flags = (buffers[i].Writable ? VirtqDescFlags.Write : 0) | (i + 1 < buffers.Length ? VirtqDescFlags.Next : 0);
            Describe(first + i, buffers[i].Address, buffers[i].Length, flags, (ushort)(first + i + 1), table);
        }
    }

    /// <summary>Puts a head into the available ring without publishing it.</summary>
    internal void Offer(ushort head) => _ram.Store(Available + 4 + (ulong)(Next++ % Size) * 2, head);

    internal void Publish() => _ram.StoreIndex(Available + 2, Next);

    internal void Submit(ushort head)
    {
        Offer(head);
        Publish();
    }

    /// <summary>Rings the doorbell, whether or not the device wants it.</summary>
    internal void Kick() => _guest.Doorbell(Index).Signal();

    /// <summary>Rings only if the device asked for it, as a driver does; true if it rang.</summary>
    internal bool KickIfWanted(ushort before)
    {
        Interlocked.MemoryBarrier();
        bool wanted = EventIndex
            ? (ushort)(Next - _ram.LoadIndex(Used + 4 + Size * 8ul) - 1) < (ushort)(Next - before)
            : (_ram.LoadIndex(Used) & VirtqConst.UsedNoNotify) == 0;
        if (wanted) Kick();
        return wanted;
    }

    internal ushort UsedIndex => _ram.LoadIndex(Used + 2);

    internal bool HasUsed => UsedIndex != _seen;

    /// <summary>Next used element, if any.</summary>
    internal bool TryTakeUsed(out VirtqUsedElem element)
    {
        element = default;
        if (UsedIndex == _seen) return false;
        element = _ram.Load<VirtqUsedElem>(Used + 4 + (ulong)(_seen++ % Size) * 8);
        if (EventIndex) _ram.StoreIndex(Available + 4 + Size * 2ul, _seen);
        return true;
    }

    /// <summary>Submits, kicks and waits for the answer; null if the device broke.</summary>
    internal VirtqUsedElem? Transact(ushort head)
    {
        Submit(head);
        Kick();
        return Wait();
    }

    internal VirtqUsedElem? Wait()
    {
        VirtqUsedElem element = default;
        bool answered = false;
        _ = GuestDriver.Eventually(() => (answered = TryTakeUsed(out element)) || _guest.NeedsReset);
        return answered ? element : null;
    }

    internal Span<byte> Bytes(ulong address, int length) => _ram.Slice(address, (ulong)length).Span;
}
