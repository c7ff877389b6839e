using MicroVm.Memory;

namespace MicroVm.Virtio.Queue;

/// <summary>The guest's memory as one device sees it behind an IOMMU. From the device's threads.</summary>
internal interface IDeviceMemory
{
    /// <summary>Translates the beginning of a range: as much of it as lies in one piece. False, and the fault reported, where the device may not go.</summary>
    bool TryTranslate(ulong address, ulong length, bool write, out HostRange piece);

    /// <summary>A queue begins to live; it is dropped by <see cref="Forget"/>.</summary>
    void Watch(QueueTraffic queue);

    /// <summary>The device was reset: no queue lives any more.</summary>
    void Forget();
}

/// <summary>What one queue has on its way in addresses of the device, so that taking a mapping away can wait for it. Written by the queue's thread, read by the IOMMU's.</summary>
/// <remarks>A range is widened before anything in it is translated, and a mapping is taken away before the ranges are looked at: either the translation fails, or the range is seen.</remarks>
internal sealed class QueueTraffic
{
    private readonly (ulong First, ulong Last)[] _rings = new (ulong, ulong)[3];
    private readonly ulong[] _first, _last;
    // Chains that wait for the guest or for the host, and are touched between TryUse and Done only.
    private readonly bool[] _held;
    private volatile bool _revoked, _inUse;

    internal QueueTraffic(ushort size)
    {
        (_first, _last, _held) = (new ulong[size], new ulong[size], new bool[size]);
        Array.Fill(_first, ulong.MaxValue);
        Array.Fill(_rings, (ulong.MaxValue, 0UL));
    }

    /// <summary>A ring of the queue, or a chain that it held, lost its mapping: the queue is over.</summary>
    internal bool Revoked => _revoked;

    internal void SetRing(int ring, ulong address, ulong length) => _rings[ring] = (address, address + length - 1);

    /// <summary>The chain is going to touch a range; nothing is translated before this.</summary>
    internal void Widen(ushort head, ulong address, ulong length)
    {
        if (length == 0) return;
        ulong last = address + (length - 1);
        if (last < address) last = ulong.MaxValue;
        if (address < _first[head]) Volatile.Write(ref _first[head], address);
        if (last > _last[head]) Volatile.Write(ref _last[head], last);
        Interlocked.MemoryBarrier();
    }

    /// <summary>The chain waits from now on: whoever takes its mapping away does not wait for it.</summary>
    internal void Hold(ushort head)
    {
        Volatile.Write(ref _held[head], true);
        Interlocked.MemoryBarrier();
    }

    /// <summary>Held chains are going to be touched, until <see cref="Done"/>; false if one of them lost its mapping.</summary>
    internal bool TryUse()
    {
        _inUse = true;
        // Either this side sees the end of a mapping, or the other sees the use.
        Interlocked.MemoryBarrier();
        if (!_revoked) return true;
        _inUse = false;
        return false;
    }

    /// <summary>The end of <see cref="TryUse"/>.</summary>
    internal void Done() => _inUse = false;

    /// <summary>The chain is done with.</summary>
    internal void End(ushort head)
    {
        Volatile.Write(ref _held[head], false);
        Volatile.Write(ref _first[head], ulong.MaxValue);
        Volatile.Write(ref _last[head], 0);
    }

    /// <summary>Some chain on its way touches the range, or may. A ring that does, and a chain that is held, end the
    /// queue; no driver takes away what it offers.</summary>
    internal bool Touches(ulong first, ulong last)
    {
        foreach ((ulong from, ulong to) in _rings)
        {
            if (from <= to && first <= to && from <= last) _revoked = true;
        }
        for (int head = 0; head < _first.Length; head++)
        {
            (ulong from, ulong to) = (Volatile.Read(ref _first[head]), Volatile.Read(ref _last[head]));
            if (from > to || from > last || to < first) continue;
            if (!Volatile.Read(ref _held[head])) return true;
            _revoked = true;
        }
        Interlocked.MemoryBarrier();
        return _revoked && _inUse;
    }
}
