using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>Vectors of buffers for transfers that are under way at the same time, a row for each; made once, outside the collector's heap, for the kernel reads them when it likes.</summary>
/// <param name="rows">Transfers.</param>
/// <param name="capacity">Most buffers of one.</param>
internal sealed unsafe class TransferVectors(int rows, int capacity) : IDisposable
{
    /// <summary>Most bytes of one step of a transfer: who waits until nothing is under way any more, a vCPU that resets
    /// the device, waits for this much of each transfer and not for the gigabytes that a guest may ask for.</summary>
    internal const ulong MaxStep = 2 << 20;

    private readonly HostMapping _memory = HostMapping.Allocate((ulong)rows * (ulong)capacity * (ulong)sizeof(Libc.IoVec));
    private readonly (int First, int Count)[] _spans = new (int, int)[rows];
    // What the present step leaves off the end of one buffer.
    private readonly (int At, nuint Bytes)[] _cuts = new (int, nuint)[rows];

    /// <summary>Most buffers of a transfer.</summary>
    internal int Capacity => capacity;

    /// <summary>Fills a row, leaving empty ranges out; false if they are too many.</summary>
    internal bool TrySet(int row, ReadOnlySpan<HostRange> ranges)
    {
        Libc.IoVec* at = Row(row);
        int count = 0;
        foreach (ref readonly HostRange range in ranges)
        {
            if (range.Length == 0) continue;
            if (count == capacity) return false;
            // SAFETY: checked guest memory, which outlives the transfer: a device is reset before the memory goes.
            at[count++] = new Libc.IoVec(range);
        }
        Begin(row, count);
        return true;
    }

    /// <summary>Fills a row with one range as often as it takes to have so many bytes, or as often as it fits; answers the bytes.</summary>
    internal ulong Repeat(int row, HostRange range, ulong bytes)
    {
        Libc.IoVec* at = Row(row);
        ulong done = 0;
        int count = 0;
        while (count < capacity && done < bytes)
        {
            at[count] = new Libc.IoVec(range.Slice(0, Math.Min(range.Length, bytes - done)));
            done += (ulong)at[count++].Length;
        }
        Begin(row, count);
        return done;
    }

    /// <summary>Drops the first bytes of a row, which are done.</summary>
    internal void Skip(int row, nuint bytes)
    {
        Uncut(row);
        ref (int First, int Count) span = ref _spans[row];
        Libc.IoVec* at = Row(row);
        while (span.Count != 0 && bytes >= at[span.First].Length)
        {
            bytes -= at[span.First].Length;
            span = (span.First + 1, span.Count - 1);
        }
        if (bytes == 0 || span.Count == 0) return;
        // SAFETY: stays inside the buffer that the entry already describes.
        at[span.First].Base = (byte*)at[span.First].Base + bytes;
        at[span.First].Length -= bytes;
    }

    /// <summary>What is left of a row, at most <see cref="MaxStep"/> bytes of it.</summary>
    internal Libc.IoVec* Rest(int row, out int count)
    {
        Uncut(row);
        (int first, int all) = _spans[row];
        Libc.IoVec* at = Row(row);
        ulong left = MaxStep;
        for (count = 0; count < all && left > 0; count++)
        {
            ref Libc.IoVec buffer = ref at[first + count];
            if (buffer.Length > left)
            {
                _cuts[row] = (first + count, buffer.Length - (nuint)left);
                buffer.Length = (nuint)left;
            }
            left -= buffer.Length;
        }
        return at + first;
    }

    private void Begin(int row, int count)
    {
        _spans[row] = (0, count);
        _cuts[row] = default;
    }

    private void Uncut(int row)
    {
        (int at, nuint bytes) = _cuts[row];
        Row(row)[at].Length += bytes;
        _cuts[row] = default;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private Libc.IoVec* Row(int row)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)rows);
        // SAFETY: the mapping has room for all rows.
        return (Libc.IoVec*)_memory.Range.Address + (uint)row * (uint)capacity;
    }
}
