namespace MicroVm.Virtio.Block;

/// <summary>The requests of one queue that are under way: rows with numbers of their own, so that nothing depends on what the driver calls them.</summary>
internal sealed class BlockRequests
{
    private readonly BlockRequest[] _rows;
    private readonly ushort[] _free;
    // The low 16 bits of an identity are the row; 0 is none.
    private ulong _last;

    /// <param name="rows">Most at a time.</param>
    internal BlockRequests(int rows)
    {
        _rows = new BlockRequest[rows];
        _free = new ushort[rows];
        for (int i = 0; i < rows; i++) _free[i] = (ushort)i;
    }

    /// <summary>How many there are.</summary>
    internal int Count { get; private set; }

    /// <summary>The row, which is in use.</summary>
    internal ref BlockRequest this[int row] => ref _rows[row];

    /// <summary>Takes the row that was free last. The caller knows that there is one: a queue has no more chains than rows.</summary>
    internal int Take()
    {
        ushort row = _free[Count++];
        _last += 1 << 16;
        _rows[row] = new BlockRequest { Id = _last | row };
        return row;
    }

    /// <summary>The row of a request under way; false for one that is not.</summary>
    internal bool TryFind(ulong id, out int row)
    {
        row = (ushort)id;
        return row < _rows.Length && _rows[row].Id == id && id != 0;
    }

    /// <summary>Gives a row back.</summary>
    internal void Release(int row)
    {
        _rows[row] = default;
        _free[--Count] = (ushort)row;
    }
}
