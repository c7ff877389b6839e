using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Virtio.Queue;

/// <summary>The device's side of one split queue (Virtio 1.2, 2.7). One thread uses it at a time; it allocates nothing after construction.</summary>
/// <remarks>The guest writes its half at any moment: ring entries are copied once, descriptors too. The first thing that is wrong breaks the queue for good:
/// after that nothing of it is read or written, and only a reset of the device helps.</remarks>
public sealed class Virtqueue
{
    private readonly QueueSetup _setup;
    private readonly GuestMemory _memory;
    private readonly ChainWalker _walker;
    private readonly HostRange _available, _used;
    private readonly int _mask;
    // Heads between _next and _fetched: seen in the available ring, not yet popped.
    private readonly ushort[] _heads;
    // A bit for each head that the driver made available and that was not used yet.
    private readonly ulong[] _owned;
    private ushort _fetched, _next, _usedIndex, _signalled;
    private int _removals;

    /// <summary>Starts at index 0 of both rings.</summary>
    public Virtqueue(QueueSetup setup, GuestMemory memory)
    {
        (_setup, _memory) = (setup, memory);
        _walker = new ChainWalker(setup, memory);
        _available = setup.Available;
        _used = setup.Used;
        _mask = setup.Size - 1;
        _heads = new ushort[setup.Size];
        _owned = new ulong[(setup.Size + 63) / 64];
    }

    /// <summary>What it was made from.</summary>
    public QueueSetup Setup => _setup;

    /// <summary>Why the queue is broken, or <see cref="QueueFault.None"/>.</summary>
    public QueueFault Fault { get; private set; }

    /// <summary>Chains used so far, modulo 2^16.</summary>
    public ushort UsedIndex => _usedIndex;

    /// <summary>Takes the next chain; false if there is none or the queue is broken.</summary>
    public bool TryPop(out Chain chain)
    {
        chain = default;
        if (Fault != QueueFault.None || IsRevoked() || (_next == _fetched && !Fetch())) return false;
        ushort head = _heads[_next++ & _mask];
        QueueFault fault = _walker.Walk(head, ref chain);
        if (fault == QueueFault.None) return true;
        _setup.Traffic?.End(head);
        return Break(fault);
    }

    /// <summary>Puts the chain of the last <see cref="TryPop"/> back, which was not served: the next one gives it again, read anew.</summary>
    public void UndoPop()
    {
        _next--;
        _setup.Traffic?.End(_heads[_next & _mask]);
    }

    /// <summary>A chain of <see cref="TryPop"/> is kept for what may come late or never. From now on its buffers are
    /// touched between <see cref="TryUse"/> and <see cref="Done"/> only.</summary>
    internal void Hold(ushort head) => _setup.Traffic?.Hold(head);

    /// <summary>The buffers of held chains are going to be touched. False, with the queue broken, if one lost its
    /// mapping behind an IOMMU.</summary>
    internal bool TryUse() => _setup.Traffic is not { } traffic || traffic.TryUse() || Break(QueueFault.BufferOutsideRam);

    /// <summary>They are touched no more.</summary>
    internal void Done() => _setup.Traffic?.Done();

    /// <summary>Gives a chain back to the driver and publishes it.</summary>
    /// <param name="head">The chain.</param>
    /// <param name="written">Bytes that were written into its buffers, from the first on.</param>
    public void Push(ushort head, uint written)
    {
        Put(head, written);
        Publish();
    }

    /// <summary>Gives a chain back, for the driver to see after <see cref="Publish"/>: several that belong together appear at once.</summary>
    public void Put(ushort head, uint written)
    {
        _setup.Traffic?.End(head);
        if (Fault != QueueFault.None || IsRevoked()) return;
        _owned[head >> 6] &= ~(1UL << (head & 63));
        ulong offset = VirtqConst.RingEntries + (ulong)(_usedIndex & _mask) * (ulong)Unsafe.SizeOf<VirtqUsedElem>();
        _used.Store(offset, new VirtqUsedElem { Id = head, Len = written });
        _usedIndex++;
    }

    /// <summary>Shows the driver all that was put.</summary>
    public void Publish()
    {
        if (Fault == QueueFault.None) _used.StoreIndex(VirtqConst.RingIndex, _usedIndex);
    }

    /// <summary>Whether the driver wants an interrupt for what was pushed since the last call.</summary>
    public bool TakeSignal()
    {
        ushort now = _usedIndex, before = _signalled;
        if (now == before || Fault != QueueFault.None) return false;
        _signalled = now;
        // The index must be visible before the driver's wish is read: the driver writes its wish and then looks at the index (2.7.7, 2.7.10).
        Interlocked.MemoryBarrier();
        if (!_setup.EventIndex) return (_available.LoadIndex(VirtqConst.RingFlags) & VirtqConst.AvailNoInterrupt) == 0;
        ushort wanted = _available.LoadIndex(_setup.UsedEventOffset);
        return (ushort)(now - wanted - 1) < (ushort)(now - before);
    }

    /// <summary>Interrupts the driver for what was used of two queues, for as much as it wants to hear: once where they share the interrupt.</summary>
    internal static void Announce(Virtqueue? queue, Virtqueue? other, IVirtioTransport transport)
    {
        bool first = queue is not null && queue.TakeSignal(), second = other is not null && other.TakeSignal();
        if (first && second) transport.SignalBoth(queue!.Setup.Index, other!.Setup.Index);
        else if (first) transport.Signal(queue!.Setup.Index);
        else if (second) transport.Signal(other!.Setup.Index);
    }

    /// <summary>Tells the driver that kicks are not needed while this side looks at the queue anyway.</summary>
    public void SuppressKicks()
    {
        // With EVENT_IDX the old avail_event lies behind already and silences the driver.
        if (!_setup.EventIndex && Fault == QueueFault.None) _used.StoreIndex(VirtqConst.RingFlags, VirtqConst.UsedNoNotify);
    }

    /// <summary>Asks for a kick with the next chain.</summary>
    /// <returns>True if one came in the meantime, for which no kick may come: go on popping.</returns>
    public bool EnableKicks()
    {
        if (Fault != QueueFault.None) return false;
        if (_setup.EventIndex) _used.StoreIndex(_setup.AvailEventOffset, _fetched);
        else _used.StoreIndex(VirtqConst.RingFlags, 0);
        // The wish must be visible before the index is read: the driver does it the other way round.
        Interlocked.MemoryBarrier();
        return _next != _fetched || _available.LoadIndex(VirtqConst.RingIndex) != _fetched;
    }

    /// <summary>Gives the queue up; always false.</summary>
    public bool Break(QueueFault fault)
    {
        if (Fault == QueueFault.None) Fault = fault;
        return false;
    }

    // While the device runs a ring may lose its mapping behind an IOMMU, or its memory, which the guest gives back.
    private bool IsRevoked() => (_setup.Traffic is { Revoked: true } || _removals != _memory.Removals && IsGone()) && !Break(QueueFault.RingOutsideRam);

    private bool IsGone()
    {
        _removals = _memory.Removals;
        return !_memory.Holds(_setup.Descriptors) || !_memory.Holds(_available) || !_memory.Holds(_used);
    }

    // Copies all new entries of the available ring, so that two equal ones are seen before either is worked on.
    private bool Fetch()
    {
        ushort count = (ushort)(_available.LoadIndex(VirtqConst.RingIndex) - _fetched);
        if (count > _setup.Size) return Break(QueueFault.IndexJump);
        for (; count != 0; count--)
        {
            int slot = _fetched & _mask;
            ushort head = _available.Load<ushort>(VirtqConst.RingEntries + (ulong)slot * sizeof(ushort));
            if (head >= _setup.Size) return Break(QueueFault.NoSuchHead);
            ulong bit = 1UL << (head & 63);
            ref ulong word = ref _owned[head >> 6];
            if ((word & bit) != 0) return Break(QueueFault.DuplicateHead);
            word |= bit;
            _heads[slot] = head;
            _fetched++;
        }
        return _next != _fetched;
    }
}
