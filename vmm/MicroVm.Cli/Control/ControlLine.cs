using MicroVm.Kvm;

namespace MicroVm.Cli.Control;

/// <summary>Lines of a connection, as the server takes them: of bounded length, and each within a bounded time.</summary>
/// <param name="fd">The connection, which does not block.</param>
internal sealed class ControlLine(int fd)
{
    /// <summary>Longest request in bytes.</summary>
    internal const int MaxRequest = 1 << 16;
    private const int PatienceMilliseconds = 10_000, SendMilliseconds = 2000;

    private byte[] _buffer = new byte[1024];
    private int _used, _taken;

    /// <summary>Waits for the next line, without its end.</summary>
    /// <param name="line">Valid until the next call.</param>
    /// <param name="refusal">Set if there is a beginning that becomes no line: too long, or too slow.</param>
    /// <returns>False when the client has gone, or said nothing for ten seconds.</returns>
    internal bool TryRead(out ReadOnlyMemory<byte> line, out MicroVmException? refusal)
    {
        (line, refusal) = (default, null);
        _buffer.AsSpan(_taken, _used - _taken).CopyTo(_buffer);
        (_used, _taken) = (_used - _taken, 0);
        long deadline = Environment.TickCount64 + PatienceMilliseconds;
        int searched = 0;
        while (true)
        {
            int end = _buffer.AsSpan(searched, _used - searched).IndexOf((byte)'\n');
            if (end >= 0)
            {
                line = _buffer.AsMemory(0, searched + end);
                _taken = searched + end + 1;
                return true;
            }
            searched = _used;
            if (_used >= MaxRequest) refusal = MicroVmException.Usage("a request that is too long", $"more than {MaxRequest} bytes", "Give one line for each");
            else if (!Fill(deadline, out bool slow))
            {
                if (!slow || _used == 0) return false;
                refusal = MicroVmException.Usage("a request without its end", $"{_used} bytes in {PatienceMilliseconds / 1000} seconds", "End it with a line feed");
            }
            if (refusal is not null) return true;
        }
    }

    /// <summary>Sends a line whole, unless the reader takes nothing for two seconds or has gone.</summary>
    internal static bool Send(int fd, ControlAnswer answer) => Send(fd, answer.ToLine());

    /// <summary>Sends all bytes, unless the reader takes nothing for two seconds or has gone.</summary>
    internal static bool Send(int fd, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int sent = HostSocket.Send(fd, bytes);
            if (sent >= 0) bytes = bytes[sent..];
            else if (sent != -Libc.EAGAIN || !HostIo.Wait(fd, Libc.EPOLLOUT, SendMilliseconds)) return false;
        }
        return true;
    }

    private bool Fill(long deadline, out bool slow)
    {
        slow = false;
        if (_used == _buffer.Length) Array.Resize(ref _buffer, Math.Min(_buffer.Length * 4, MaxRequest));
        while (true)
        {
            int read = HostIo.Read(fd, _buffer.AsSpan(_used));
            _used += Math.Max(read, 0);
            if (read != -Libc.EAGAIN) return read > 0;
            long left = deadline - Environment.TickCount64;
            slow = left <= 0;
            if (slow) return false;
            _ = HostIo.Wait(fd, Libc.EPOLLIN, (int)left);
        }
    }
}
