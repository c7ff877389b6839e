using MicroVm.Memory;

namespace MicroVm.Virtio.Queue;

/// <summary>The buffers of one direction of a chain, from first to last. Taking from either end consumes it, so that no byte is read twice.</summary>
public ref struct Segments
{
    private Span<HostRange> _list;

    internal Segments(Span<HostRange> list, uint length)
    {
        _list = list;
        Length = length;
    }

    /// <summary>Bytes left.</summary>
    public uint Length { get; private set; }

    /// <summary>The buffers left; some may be empty.</summary>
    public readonly ReadOnlySpan<HostRange> List => _list;

    /// <summary>Copies the first bytes out and drops them; false, and nothing done, if there are fewer.</summary>
    public bool TryTake(scoped Span<byte> into)
    {
        if ((uint)into.Length > Length) return false;
        Length -= (uint)into.Length;
        while (!into.IsEmpty)
        {
            HostRange part = Next((ulong)into.Length);
            part.Span.CopyTo(into);
            into = into[(int)part.Length..];
        }
        return true;
    }

    /// <summary>Fills the first buffers; returns how many bytes fitted.</summary>
    public uint Fill(scoped ReadOnlySpan<byte> from)
    {
        uint total = Math.Min((uint)from.Length, Length);
        Length -= total;
        for (uint left = total; left != 0;)
        {
            HostRange part = Next(left);
            from[..(int)part.Length].CopyTo(part.Span);
            from = from[(int)part.Length..];
            left -= (uint)part.Length;
        }
        return total;
    }

    /// <summary>Drops the last byte and gives its place; false if there is none.</summary>
    public bool TryTakeLastByte(out HostRange last)
    {
        last = default;
        if (Length == 0) return false;
        while (_list[^1].Length == 0) _list = _list[..^1];
        ref HostRange end = ref _list[^1];
        last = end.Slice(end.Length - 1, 1);
        end = end.Slice(0, end.Length - 1);
        Length--;
        return true;
    }

    // Up to `limit` bytes from the front; the caller knows that there are some.
    private HostRange Next(ulong limit)
    {
        while (_list[0].Length == 0) _list = _list[1..];
        ref HostRange first = ref _list[0];
        ulong count = Math.Min(limit, first.Length);
        HostRange part = first.Slice(0, count);
        first = first.Slice(count, first.Length - count);
        return part;
    }
}

/// <summary>One request of the driver: buffers that the device reads, then buffers that it writes. Valid until the queue's next pop.</summary>
public ref struct Chain
{
    /// <summary>Identity of the chain, for <see cref="Virtqueue.Push"/>.</summary>
    public ushort Head;

    /// <summary>What the driver says.</summary>
    public Segments Readable;

    /// <summary>Room for the answer.</summary>
    public Segments Writable;
}
