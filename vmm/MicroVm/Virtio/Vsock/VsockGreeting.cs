using System.Buffers.Text;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Vsock;

/// <summary>The line with which the host names a port: <c>CONNECT 1234\n</c>. Not a byte behind it is taken from the socket.</summary>
internal sealed class VsockGreeting
{
    // "CONNECT 4294967295\n"
    private const int MaxLine = 19;

    private readonly byte[] _line = new byte[MaxLine];
    private int _length;

    internal void Clear() => _length = 0;

    /// <summary>Reads on; true once the line is whole, with its port.</summary>
    /// <param name="fd">The socket.</param>
    /// <param name="port">The port.</param>
    /// <param name="bad">The host said something else, or left.</param>
    internal bool Read(int fd, out uint port, out bool bad)
    {
        port = 0;
        bad = false;
        while (_length < MaxLine)
        {
            int n = HostIo.Read(fd, _line.AsSpan(_length, 1));
            if (n == -Libc.EAGAIN) return false;
            if (n <= 0) break;
            if (_line[_length++] == (byte)'\n') return TryParse(_line.AsSpan(0, _length - 1), out port) || !(bad = true);
        }
        bad = true;
        return false;
    }

    /// <summary>Answers the host.</summary>
    internal static bool Answer(int fd, uint localPort)
    {
        Span<byte> line = stackalloc byte[16];
        "OK "u8.CopyTo(line);
        _ = Utf8Formatter.TryFormat(localPort, line[3..], out int digits);
        line[3 + digits] = (byte)'\n';
        // A fresh socket has room for a line.
        return HostSocket.Send(fd, line[..(4 + digits)]) == 4 + digits;
    }

    private static bool TryParse(ReadOnlySpan<byte> line, out uint port)
    {
        port = 0;
        if (line.EndsWith("\r"u8)) line = line[..^1];
        return line.StartsWith("CONNECT "u8) && Utf8Parser.TryParse(line[8..], out port, out int used) && used == line.Length - 8;
    }
}
