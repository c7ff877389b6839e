using System.Text;
using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Tests.Virtio;
using static MicroVm.Devices.VirtioVsockOperation;

namespace MicroVm.Fuzz;

/// <summary>One stream with both its ends: the guest's, which is a model of a driver, and the host's, which is a
/// socket. What is read at one end is what was written at the other, for as long as there is something.</summary>
/// <param name="guest">Its driver.</param>
/// <param name="reach">Counts what happened.</param>
/// <param name="socket">The host's end, or -1 while nobody has accepted it.</param>
/// <param name="hostPort">Where the guest connects to; 0 for a stream that the host begins.</param>
/// <param name="guestPort">Tells streams apart.</param>
internal sealed class VsockStream(VsockGuest guest, Reach reach, int socket, uint hostPort, uint guestPort)
{
    private uint _sent, _forwarded, _hostRoom, _received, _given;
    private uint _hostRead, _hostWritten;
    private StringBuilder? _line = socket >= 0 ? new() : null;

    // What the guest keeps for the stream: less than a buffer of its queue holds, or more.
    private uint Room => 200 + guestPort % 7 * 900;

    /// <summary>0 until the guest is told.</summary>
    internal uint HostPort { get; private set; } = hostPort;

    /// <summary>Response went one way or the other.</summary>
    internal bool Open { get; private set; }

    /// <summary>Reset by one side or the other.</summary>
    internal bool Dead { get; private set; }

    internal void Accept(int fd) => socket = fd;

    /// <summary>The guest's driver does one of the things that a driver may do, or one that it may not.</summary>
    internal void GuestActs(Random random)
    {
        if (!Open || Dead) return;
        switch (random.Next(12))
        {
            case < 7: GuestSends(random, (uint)random.Next(random.Next(4) == 0 ? 30_000 : 600)); break;
            case 7: Say(CreditRequest); break;
            case 8 or 9: Say(CreditUpdate); break;
            case 10: Say(Shutdown, flags: (uint)random.Next(random.Next(4) == 0 ? 4 : 3)); break;
            default: if (random.Next(4) == 0) Say(Reset); break;
        }
    }

    /// <summary>As many bytes as the host has room for, and rarely more.</summary>
    internal void GuestSends(Random random, uint length)
    {
        if (!Open || Dead) return;
        uint credit = _hostRoom - (_sent - _forwarded);
        // More than the host has room for is a breach, and the end of the stream.
        if (length > credit && random.Next(8) != 0) length = credit;
        if (length > credit) reach.Add("breach of credit");
        if (length != 0) Say(Data, Bytes(_sent, length, 1));
        _sent += length;
    }

    /// <summary>The guest gets a packet of this stream.</summary>
    internal void GuestGets(in VirtioVsockHeader header, ReadOnlySpan<byte> data, Random random)
    {
        Assert.True(_sent - header.Forwarded <= _sent, "the host forwarded more than it was sent");
        (_hostRoom, _forwarded) = (header.BufferSize, header.Forwarded);
        switch ((VirtioVsockOperation)header.Operation)
        {
            case Request:
                HostPort = header.SourcePort;
                if (random.Next(8) == 0) Say(Reset);
                else Say(Response);
                Open = true;
                break;
            case Response:
                Open = true;
                reach.Add("opened by the guest");
                break;
            case Data:
                Assert.Equal(Bytes(_received, (uint)data.Length, 2), data);
                _received += (uint)data.Length;
                Assert.True(_received - _given <= Room, "the host sent more than there was room for");
                reach.Add("bytes to the guest", data.Length);
                if (random.Next(3) == 0) Say(CreditUpdate);
                break;
            case CreditRequest: Say(CreditUpdate); break;
            case Shutdown: reach.Add("shut down by the host"); break;
            case CreditUpdate: reach.Add("credit"); break;
            case Reset:
                reach.Add("reset");
                Dead = true;
                break;
            default: throw new InvalidOperationException($"operation {header.Operation}");
        }
    }

    /// <summary>The host's program reads, writes, shuts down or closes.</summary>
    internal void HostActs(Random random)
    {
        if (socket < 0) return;
        switch (random.Next(16))
        {
            case < 6: HostReads(random.Next(1, 5000)); break;
            case 6 or 7: HostDrains(); break;
            case < 14 when _line is null: HostWrites((uint)random.Next(6000)); break;
            case 14 when random.Next(3) == 0: HostSocket.EndOutput(socket); break;
            case 15 when random.Next(3) == 0: HostCloses(); break;
        }
    }

    private void HostWrites(uint most) =>
        _hostWritten += (uint)Math.Max(0, HostSocket.Send(socket, Bytes(_hostWritten, most, 2)));

    /// <summary>Reads until nothing comes any more.</summary>
    internal void HostDrains()
    {
        while (socket >= 0 && HostIo.Wait(socket, Libc.EPOLLIN, 1) && HostReads(1 << 16)) { }
    }

    /// <summary>Reads what there is; false once there is nothing more to come.</summary>
    internal bool HostReads(int most)
    {
        byte[] bytes = new byte[most];
        int n = socket < 0 ? 0 : HostIo.Read(socket, _line is null ? bytes : bytes.AsSpan(0, 1));
        if (n == -Libc.EAGAIN) return true;
        if (n <= 0) return false;
        if (_line is not null)
        {
            // "OK 1073741825", before the stream.
            _line.Append((char)bytes[0]);
            if (bytes[0] != '\n') return true;
            Assert.Equal($"OK {HostPort}\n", _line.ToString());
            _line = null;
            reach.Add("opened by the host");
            return true;
        }
        Assert.Equal(Bytes(_hostRead, (uint)n, 1), bytes[..n]);
        _hostRead += (uint)n;
        Assert.True(_hostRead <= _sent, "the host got more than was sent");
        reach.Add("bytes to the host", n);
        return true;
    }

    /// <summary>The device has closed its side: the host reads what was on its way, and then the end.</summary>
    internal void HostEnds()
    {
        // One that the device never took from its queue of connections is not closed.
        while (socket >= 0 && HostPort != 0 && HostReads(1 << 17))
            Assert.True(HostIo.Wait(socket, Libc.EPOLLIN, 0), "a stream does not end");
        HostCloses();
    }

    internal void HostCloses()
    {
        if (socket >= 0) HostSocket.Close(socket);
        socket = -1;
    }

    internal void Say(VirtioVsockOperation operation, ReadOnlySpan<byte> data = default, uint flags = 0)
    {
        _given = _received;
        _ = guest.Send(operation, HostPort, guestPort, data, Mine);
        if (operation == Reset) Dead = true;

        VirtioVsockHeader Mine(VirtioVsockHeader header) =>
            header with { BufferSize = Room, Forwarded = _received, Flags = flags };
    }

    // Where a byte stands in which direction of which stream says what it is.
    private byte[] Bytes(uint from, uint count, uint direction)
    {
        byte[] bytes = new byte[count];
        for (uint i = 0; i < count; i++)
        {
            // Not the same again after the size of any buffer.
            uint at = from + i;
            bytes[i] = (byte)(at * 167 + (at >> 8) + (at >> 16) * 59 + guestPort * 31 + direction * 101);
        }
        return bytes;
    }
}
