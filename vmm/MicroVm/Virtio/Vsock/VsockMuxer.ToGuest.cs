using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.Vsock;

/// <summary>What the guest gets: one packet for each of its buffers, the connections in turn. Without buffers everything waits where it is.</summary>
internal sealed partial class VsockMuxer
{
    private static readonly uint HeaderSize = (uint)Unsafe.SizeOf<VirtioVsockHeader>();

    private void TellGuest()
    {
        if (!_table.HasNews) return;
        _receive.SuppressKicks();
        int budget = QueueService.Budget;
        while (!_stopping && _table.HasNews && budget-- > 0)
        {
            if (!_receive.TryPop(out Chain chain))
            {
                if (!_receive.EnableKicks()) break;
                continue;
            }
            if (chain.Writable.Length <= HeaderSize) _receive.Break(QueueFault.NoRoomForAnswer);
            else if (TryFill(ref chain.Writable, out uint written)) _receive.Push(chain.Head, written);
            else _receive.UndoPop();
        }
        if (budget <= 0) _receive.Setup.Kick.Signal();
    }

    // False if there was nothing to say after all.
    private bool TryFill(ref Segments buffer, out uint written)
    {
        written = HeaderSize;
        if (_table.TryTakeRefusal(out (uint HostPort, uint GuestPort) refused))
        {
            Put(ref buffer, Header(refused.HostPort, refused.GuestPort, VirtioVsockOperation.Reset), []);
            return true;
        }
        while (_table.TryTakeNews(out VsockConnection? c))
        {
            VirtioVsockOperation operation = Next(c, Math.Min(buffer.Length - HeaderSize, (uint)VirtioVsockConst.MaxPacket), out int length);
            if (operation == VirtioVsockOperation.Invalid) continue;
            VirtioVsockHeader header = Header(c.HostPort, c.GuestPort, operation);
            header.Length = (uint)length;
            if (operation == VirtioVsockOperation.Shutdown) header.Flags = (uint)(c.HostGone ? VirtioVsockShutdown.Receive | VirtioVsockShutdown.Send : VirtioVsockShutdown.Send);
            c.Promise(ref header);
            Put(ref buffer, header, _packet.AsSpan(0, length));
            written += (uint)length;
            if (operation == VirtioVsockOperation.Reset) _table.Release(c);
            else Settle(c);
            return true;
        }
        return false;
    }

    // The most urgent thing to say of a connection, and whether there is more to say.
    private VirtioVsockOperation Next(VsockConnection c, uint room, out int length)
    {
        length = 0;
        VirtioVsockOperation operation;
        if (Take(c, VsockNews.Reset)) operation = VirtioVsockOperation.Reset;
        else if (Take(c, VsockNews.Response)) operation = VirtioVsockOperation.Response;
        else if (Take(c, VsockNews.Request)) operation = VirtioVsockOperation.Request;
        else if (Take(c, VsockNews.Data) && TryRead(c, room, out length)) operation = VirtioVsockOperation.Data;
        else if (Take(c, VsockNews.Shutdown)) operation = VirtioVsockOperation.Shutdown;
        else if (Take(c, VsockNews.AskCredit)) operation = VirtioVsockOperation.CreditRequest;
        else if (Take(c, VsockNews.Credit)) operation = VirtioVsockOperation.CreditUpdate;
        else operation = VirtioVsockOperation.Invalid;
        if (operation == VirtioVsockOperation.Invalid) Settle(c);
        else _table.AddNews(c, VsockNews.None);
        return operation;
    }

    private static bool Take(VsockConnection c, VsockNews news)
    {
        bool taken = (c.News & news) != 0;
        c.News &= ~news;
        return taken;
    }

    private bool TryRead(VsockConnection c, uint room, out int length)
    {
        length = 0;
        uint count = Math.Min(room, c.Credit);
        if (c.HostEnded || c.Socket < 0) return false;
        if (count == 0)
        {
            c.News |= VsockNews.AskCredit;
            return false;
        }
        int n = HostIo.Read(c.Socket, _packet.AsSpan(0, (int)count));
        if (n > 0)
        {
            length = n;
            c.CountToGuest((uint)n);
            c.News |= VsockNews.Data;
            return true;
        }
        if (n == -Libc.EAGAIN) return false;
        // Its end, or its death: the guest reads what it has and then sees the end.
        c.HostEnded = true;
        if (n < 0 || HostIo.HasFailed(c.Socket)) ForgetSocket(c);
        c.News |= VsockNews.Shutdown;
        return false;
    }

    private VirtioVsockHeader Header(uint hostPort, uint guestPort, VirtioVsockOperation operation) => new()
    {
        SourceCid = VirtioVsockConst.HostCid, DestinationCid = _cid, SourcePort = hostPort, DestinationPort = guestPort,
        Type = (ushort)VirtioVsockConst.TypeStream, Operation = (ushort)operation,
    };

    private static void Put(ref Segments buffer, VirtioVsockHeader header, ReadOnlySpan<byte> bytes)
    {
        buffer.Fill(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioVsockHeader>(ref header)));
        buffer.Fill(bytes);
    }
}
