using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Vsock;

/// <summary>What the guest sends. Each packet is copied once, then checked; one that cannot be is answered with a reset of its connection, or with nothing.</summary>
internal sealed partial class VsockMuxer
{
    private long _badPackets;

    /// <summary>Packets that no driver may send.</summary>
    internal long BadPackets => Volatile.Read(ref _badPackets);

    private void ServeGuest()
    {
        _transmit.SuppressKicks();
        int budget = QueueService.Budget;
        do
        {
            while (!_stopping && budget-- > 0 && _transmit.TryPop(out Chain chain))
            {
                if (!TakePacket(ref chain.Readable)) Volatile.Write(ref _badPackets, _badPackets + 1);
                _transmit.Push(chain.Head, 0);
            }
        }
        while (!_stopping && budget > 0 && _transmit.EnableKicks());
        if (budget <= 0) _transmit.Setup.Kick.Signal();
    }

    private bool TakePacket(ref Segments packet)
    {
        VirtioVsockHeader header = default;
        if (!packet.TryTake(MemoryMarshal.AsBytes(new Span<VirtioVsockHeader>(ref header)))) return false;
        if (header.SourceCid != _cid || header.DestinationCid != VirtioVsockConst.HostCid) return false;
        VirtioVsockOperation operation = (VirtioVsockOperation)header.Operation;
        bool known = _table.TryFind(header.DestinationPort, header.SourcePort, out VsockConnection? c);
        bool sound = header.Type == VirtioVsockConst.TypeStream && header.Length <= Math.Min(packet.Length, (uint)VirtioVsockConst.MaxPacket)
            && (operation == VirtioVsockOperation.Data || header.Length == 0);
        if (!known)
        {
            if (sound && operation == VirtioVsockOperation.Request) Connect(header);
            else if (operation != VirtioVsockOperation.Reset) _table.Refuse(header.DestinationPort, header.SourcePort);
            return sound;
        }
        if (c!.State == VsockState.Closed) return sound;
        if (sound) sound = Handle(c, header, ref packet);
        if (!sound) Abort(c);
        return sound;
    }

    private void Connect(in VirtioVsockHeader header)
    {
        int fd = _table.IsFull ? -1 : _host.Connect(header.DestinationPort);
        if (fd < 0 || HostDescriptors.IsReserved(fd) || !TryWatch(fd, out VsockConnection? c))
        {
            if (fd >= 0) HostSocket.Close(fd);
            _table.Refuse(header.DestinationPort, header.SourcePort);
            return;
        }
        c.Begin(fd, VsockState.Open, header.DestinationPort, header.SourcePort);
        c.TakeCredit(header);
        _table.Register(c);
        _table.AddNews(c, VsockNews.Response);
    }

    // False if the connection cannot go on.
    private bool Handle(VsockConnection c, in VirtioVsockHeader header, ref Segments packet)
    {
        bool starved = c.Credit == 0;
        c.TakeCredit(header);
        switch ((VirtioVsockOperation)header.Operation)
        {
            case VirtioVsockOperation.Reset:
                Free(c);
                return true;
            case VirtioVsockOperation.Response when c.State == VsockState.Asked:
                c.State = VsockState.Open;
                if (!VsockGreeting.Answer(c.Socket, c.HostPort)) return false;
                break;
            case VirtioVsockOperation.Data when c.State == VsockState.Open:
                Span<byte> bytes = _packet.AsSpan(0, (int)header.Length);
                // The host may have closed both directions: the guest then learns that nobody reads.
                if (c.HostGone || !packet.TryTake(bytes) || !c.TakeFromGuest(bytes)) return false;
                if (c.OwesCredit) _table.AddNews(c, VsockNews.Credit);
                break;
            case VirtioVsockOperation.Shutdown when c.State == VsockState.Open:
                VirtioVsockShutdown what = (VirtioVsockShutdown)header.Flags;
                if ((what & VirtioVsockShutdown.Send) != 0) c.EndGuest();
                if ((what & VirtioVsockShutdown.Receive) != 0) EndHost(c);
                break;
            case VirtioVsockOperation.CreditUpdate:
                break;
            case VirtioVsockOperation.CreditRequest:
                _table.AddNews(c, VsockNews.Credit);
                break;
            default:
                return false;
        }
        if (c.State == VsockState.Open && starved && c.Credit != 0 && !c.HostEnded) _table.AddNews(c, VsockNews.Data);
        Settle(c);
        return true;
    }

    private static void EndHost(VsockConnection c)
    {
        c.HostEnded = true;
        c.News &= ~VsockNews.Data;
    }
}
