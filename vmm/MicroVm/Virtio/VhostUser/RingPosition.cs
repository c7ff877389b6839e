using MicroVm.Devices;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.VhostUser;

/// <summary>Where a backend goes on in a queue that another one left in the middle, when that one kept no record of what it had begun (docs/decisions/0072).</summary>
/// <remarks>How many requests are under way is certain: as many as the available index is ahead of the used index. Which ones, if some were finished out of order, is not, and is inferred from the last
/// entries of both rings. The next backend takes what stands from the used index on, so the entries there are made to be those; a driver never reads what it wrote into that ring.</remarks>
internal static class RingPosition
{
    /// <summary>Next entry of the available ring to serve, behind which stand all requests that are not finished.</summary>
    internal static ushort Rewind(QueueSetup queue)
    {
        ushort used = queue.Used.LoadIndex(VirtqConst.RingIndex), available = queue.Available.LoadIndex(VirtqConst.RingIndex);
        ushort pending = (ushort)(available - used);
        // More than fit is the driver's doing, and the backend's to refuse.
        if (pending == 0 || pending > queue.Size) return used;
        History history = new(queue, available, used);
        if (history.MostLikely() is not { } open) return used;
        ushort at = used;
        foreach (ushort head in open)
        {
            queue.Available.Store(VirtqConst.RingEntries + (uint)(at % queue.Size) * sizeof(ushort), head);
            at++;
        }
        return used;
    }

    /// <summary>The last entries of both rings, newest first.</summary>
    private sealed class History
    {
        private readonly ushort[] _offered, _finished;
        private readonly int _pending;
        private readonly sbyte[] _open;
        private int _impossible;
        private ulong _name;

        internal History(QueueSetup queue, ushort available, ushort used)
        {
            (_offered, _finished, _open, _pending) = (new ushort[queue.Size], new ushort[queue.Size], new sbyte[queue.Size], (ushort)(available - used));
            for (int i = 0; i < queue.Size; i++)
            {
                _offered[i] = queue.Available.Load<ushort>(VirtqConst.RingEntries + (uint)((ushort)(available - 1 - i) % queue.Size) * sizeof(ushort));
                _finished[i] = (ushort)queue.Used.Load<VirtqUsedElem>(VirtqConst.RingEntries + (uint)((ushort)(used - 1 - i) % queue.Size) * 8u).Id;
            }
        }

        /// <summary>Heads of the requests under way, oldest first; null if the rings make no sense.</summary>
        // Suppose that at some moment all requests before it were finished. Then a head that was offered since and not finished since is open, and each head's count is 0 or 1. Every moment of the
        // rings' memory is tried; moments that were not like that mostly show by an impossible count, and those that do not disagree with each other. What most of them say is taken.
        internal List<ushort>? MostLikely()
        {
            foreach (ushort head in (ReadOnlySpan<ushort>)[.. _offered, .. _finished])
            {
                if (head >= _open.Length) return null;
            }
            Dictionary<ulong, (int Votes, int Back)> votes = [];
            for (int back = 0; back <= _offered.Length - _pending; back++)
            {
                Step(back);
                if (_impossible == 0) votes[_name] = (votes.GetValueOrDefault(_name).Votes + 1, back);
            }
            (int Votes, int Back) best = default;
            foreach ((int Votes, int Back) vote in votes.Values)
            {
                if (vote.Votes > best.Votes) best = vote;
            }
            return best.Votes == 0 ? null : Open(best.Back);
        }

        // Supposes that the moment lies so many finished requests back; to be called for 0, 1, 2 and so on.
        private void Step(int back)
        {
            if (back > 0)
            {
                Count(_offered[_pending + back - 1], 1);
                Count(_finished[back - 1], -1);
                return;
            }
            Array.Clear(_open);
            (_impossible, _name) = (0, 0);
            for (int i = 0; i < _pending; i++) Count(_offered[i], 1);
        }

        private void Count(ushort head, sbyte change)
        {
            int before = _open[head], after = before + change;
            _open[head] = (sbyte)after;
            _impossible += (after is 0 or 1 ? 0 : 1) - (before is 0 or 1 ? 0 : 1);
            // Sets of heads are told apart by a number: each open head adds its own.
            _name += (ulong)change * ((head + 1u) * 0x9e37_79b9_7f4a_7c15ul ^ 0xd1b5_4a32_d192_ed03ul);
        }

        private List<ushort> Open(int back)
        {
            for (int i = 0; i <= back; i++) Step(i);
            List<ushort> heads = [];
            for (int i = 0; i < _pending + back; i++)
            {
                if (_open[_offered[i]] != 1) continue;
                heads.Add(_offered[i]);
                _open[_offered[i]] = 0;
            }
            heads.Reverse();
            return heads;
        }
    }
}
