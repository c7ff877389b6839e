using System.Runtime.CompilerServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Net;

/// <summary>The receive queue: frames are read from the host's end into the guest's buffers. Buffers are collected ahead until the largest frame fits, and those that a frame leaves over serve the next.</summary>
internal sealed class NetReceiver
{
    private const int SpillBytes = 64;
    private static readonly uint HeaderSize = (uint)Unsafe.SizeOf<VirtioNetHeader>(), LargestPacket = HeaderSize + (uint)VirtioNetConst.MaxFrame;

    private readonly Virtqueue _queue;
    private readonly INetEnd _end;
    private readonly NetCounters _counters;
    private readonly PacketVectors _vectors = new(SpillBytes);
    private readonly Buffer[] _buffers;
    private readonly bool _mergeable;
    private readonly RateLimiter? _limiter;
    private int _first, _count, _held;
    private ulong _room;

    internal NetReceiver(Virtqueue queue, INetEnd end, ulong features, NetCounters counters, RateLimiter? limiter)
    {
        (_queue, _end, _counters, _limiter) = (queue, end, counters, limiter);
        _buffers = new Buffer[queue.Setup.Size];
        _mergeable = (features & (ulong)VirtioNetFeatures.MergeRxBuffers) != 0;
    }

    internal Virtqueue Queue => _queue;

    /// <summary>Nanoseconds that a frame, which lies in the buffers already, waits for the limit before the driver sees it; 0 if none does.</summary>
    internal long Wait { get; private set; }

    /// <summary>Collects buffers; false if those there are might not hold the next frame, and more will come with a kick.</summary>
    internal bool Gather()
    {
        while (!Enough())
        {
            if (!_queue.TryPop(out Chain chain)) return _count == _buffers.Length;
            // A buffer that cannot hold the header holds nothing, and one for the driver to be read is none.
            if (chain.Writable.Length < HeaderSize || chain.Readable.Length != 0)
            {
                _queue.Push(chain.Head, 0);
                continue;
            }
            int pieces = _vectors.Count;
            foreach (ref readonly HostRange range in chain.Writable.List) _vectors.Add(range);
            _buffers[(_first + _count++) & (_buffers.Length - 1)] = new Buffer(chain.Head, chain.Writable.Length, _vectors.Count - pieces, NumBuffersAt(chain.Writable.List));
            _room += chain.Writable.Length;
            _queue.Hold(chain.Head);
        }
        return true;
    }

    /// <summary>Reads one frame; minus the error number if there was none, EAGAIN also if one waits.</summary>
    internal int Step()
    {
        if (!_queue.TryUse()) return -Libc.EAGAIN;
        int moved = Move();
        _queue.Done();
        return moved;
    }

    private int Move()
    {
        if (Wait == 0)
        {
            _held = _end.Receive(_vectors);
            if (_held <= 0) return _held;
            if (_held < HeaderSize + VirtioNetConst.EthernetHeader || (ulong)_held > _room)
            {
                _counters.CountReceiveDrop();
                return _held;
            }
        }
        long wait = 0;
        _ = _limiter?.TryTake((ulong)_held - HeaderSize, RateLimiter.Now, out wait);
        Wait = wait;
        if (wait != 0) return -Libc.EAGAIN;
        Deliver((uint)_held);
        return _held;
    }

    private bool Enough() => _count != 0 && (!_mergeable || _room >= LargestPacket || _vectors.Count > PacketVectors.Capacity - _queue.Setup.MaxSize);

    private void Deliver(uint left)
    {
        int pieces = 0;
        ushort total = CountBuffers(left);
        _buffers[_first].Place.Store(total);
        for (; total != 0; total--)
        {
            ref readonly Buffer buffer = ref _buffers[_first];
            uint part = Math.Min(left, buffer.Length);
            _queue.Put(buffer.Head, part);
            left -= part;
            _room -= buffer.Length;
            pieces += buffer.Pieces;
            _first = (_first + 1) & (_buffers.Length - 1);
            _count--;
        }
        // All at once: a driver that found a part of the frame would take it for a broken one.
        _queue.Publish();
        _vectors.Drop(pieces);
        _counters.CountReceived();
    }

    private ushort CountBuffers(uint left)
    {
        ushort n = 0;
        for (int i = _first; left != 0; i = (i + 1) & (_buffers.Length - 1), n++) left -= Math.Min(left, _buffers[i].Length);
        return n;
    }

    // The field may lie across pieces of a chain; a chain has room for the header.
    private static NumBuffers NumBuffersAt(ReadOnlySpan<HostRange> list) => new(ByteAt(list, HeaderSize - 2), ByteAt(list, HeaderSize - 1));

    private static HostRange ByteAt(ReadOnlySpan<HostRange> list, ulong at)
    {
        int i = 0;
        for (; at >= list[i].Length; i++) at -= list[i].Length;
        return list[i].Slice(at, 1);
    }

    private readonly record struct NumBuffers(HostRange Low, HostRange High)
    {
        internal void Store(ushort value)
        {
            Low.Store(0, (byte)value);
            High.Store(0, (byte)(value >> 8));
        }
    }

    private readonly record struct Buffer(ushort Head, uint Length, int Pieces, NumBuffers Place);
}
