using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Net;

/// <summary>The transmit queue: each frame goes to the host's end from where it lies, only its headers are copied, so that what was checked is what is sent.</summary>
internal sealed class NetTransmitter(Virtqueue queue, INetEnd end, FrameCheck check, NetCounters counters, RateLimiter? limiter)
{
    private readonly PacketVectors _vectors = new(FrameCheck.HeadLength);
    private ushort _held;

    internal Virtqueue Queue => queue;

    /// <summary>A frame waits for the host's end to have room; nothing behind it is looked at.</summary>
    internal bool Blocked { get; private set; }

    /// <summary>Nanoseconds that a frame waits for the limit, and nothing behind it is looked at; 0 if none does.</summary>
    internal long Wait { get; private set; }

    /// <summary>A frame was taken and has not gone.</summary>
    internal bool Holds => Blocked || Wait != 0;

    /// <summary>Takes and sends one frame. False if there is none, or none may go yet.</summary>
    internal bool Step(out int error)
    {
        error = 0;
        if (Holds) return Send(_held, out error);
        if (!queue.TryPop(out Chain chain)) return false;
        if (Prepare(ref chain)) return Send(chain.Head, out error);
        counters.CountBadFrame();
        queue.Push(chain.Head, 0);
        return true;
    }

    private bool Prepare(ref Chain chain)
    {
        Span<byte> head = _vectors.Scratch;
        uint frame = chain.Readable.Length - (uint)FrameCheck.HeadLength + VirtioNetConst.EthernetHeader;
        if (!chain.Readable.TryTake(head)) return false;
        VirtioNetHeader header = MemoryMarshal.Read<VirtioNetHeader>(head);
        if (!check.Passes(header, head[^(int)VirtioNetConst.EthernetHeader..], frame)) return false;
        _vectors.Clear();
        _vectors.AddScratch(FrameCheck.HeadLength);
        foreach (ref readonly HostRange range in chain.Readable.List) _vectors.Add(range);
        return true;
    }

    private bool Send(ushort head, out int error)
    {
        (_held, error) = (head, 0);
        bool isOver = !queue.TryUse();
        bool sent = !isOver && TrySend(head, out error);
        queue.Done();
        if (isOver) (Blocked, Wait) = (false, 0);
        else if (Holds) queue.Hold(head);
        return sent;
    }

    private bool TrySend(ushort head, out int error)
    {
        error = 0;
        // A frame that waits for room has paid.
        long wait = 0;
        if (!Blocked && limiter is not null && !limiter.TryTake((ulong)(_vectors.Bytes - FrameCheck.HeadLength + (int)VirtioNetConst.EthernetHeader), RateLimiter.Now, out wait))
        {
            Wait = wait;
            return false;
        }
        Wait = 0;
        int sent = end.Send(_vectors);
        error = sent < 0 ? -sent : 0;
        Blocked = error == Libc.EAGAIN;
        if (Blocked) return false;
        if (error == 0) counters.CountSent();
        else counters.CountSendDrop();
        queue.Push(head, 0);
        return true;
    }
}
