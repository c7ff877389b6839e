namespace MicroVm.Virtio.Net;

/// <summary>What went through a network device, or one pair of its queues, since it was made. Written by the pair's thread, read by any.</summary>
public sealed class NetCounters
{
    private long _received, _sent, _receiveDrops, _sendDrops, _badFrames;

    /// <summary>Frames given to the guest.</summary>
    public long Received => Volatile.Read(ref _received);

    /// <summary>Frames taken from the guest and given to the host.</summary>
    public long Sent => Volatile.Read(ref _sent);

    /// <summary>Frames from the host that were too short, or too large for the guest's buffers.</summary>
    public long ReceiveDrops => Volatile.Read(ref _receiveDrops);

    /// <summary>Good frames of the guest that the host did not take.</summary>
    public long SendDrops => Volatile.Read(ref _sendDrops);

    /// <summary>Frames of the guest that no driver may send.</summary>
    public long BadFrames => Volatile.Read(ref _badFrames);

    /// <summary>All of several together.</summary>
    internal static NetCounters Sum(ReadOnlySpan<NetCounters> parts)
    {
        NetCounters sum = new();
        foreach (NetCounters part in parts)
        {
            sum._received += part.Received;
            sum._sent += part.Sent;
            sum._receiveDrops += part.ReceiveDrops;
            sum._sendDrops += part.SendDrops;
            sum._badFrames += part.BadFrames;
        }
        return sum;
    }

    internal void CountReceived() => Volatile.Write(ref _received, _received + 1);

    internal void CountSent() => Volatile.Write(ref _sent, _sent + 1);

    internal void CountReceiveDrop() => Volatile.Write(ref _receiveDrops, _receiveDrops + 1);

    internal void CountSendDrop() => Volatile.Write(ref _sendDrops, _sendDrops + 1);

    internal void CountBadFrame() => Volatile.Write(ref _badFrames, _badFrames + 1);
}
