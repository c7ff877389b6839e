using System.Text;
using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>Text to standard output and standard error, by system calls: the class <see cref="Console"/> costs a start about a millisecond.</summary>
internal static class Output
{
    private const int StandardOutput = 1, StandardError = 2;
    private const int PatienceMilliseconds = 2000;

    /// <summary>Prints to standard output. A reader that has gone (<c>| head</c>) is no error.</summary>
    internal static void Out(string text) => Write(StandardOutput, Encoding.UTF8.GetBytes(text));

    /// <summary>Prints to standard output.</summary>
    internal static void Out(ReadOnlySpan<byte> utf8) => Write(StandardOutput, utf8);

    /// <summary>Prints to standard error as it is.</summary>
    internal static void Error(string text) => Write(StandardError, Encoding.UTF8.GetBytes(text));

    /// <summary>Prints one line to standard error: a line break or an escape sequence in a file's name must not make it look like two.</summary>
    internal static void ErrorLine(string line)
    {
        StringBuilder text = new(line.Length + 1);
        foreach (char c in line)
        {
            if (char.IsControl(c)) text.Append('?');
            else text.Append(c);
        }
        Error(text.Append('\n').ToString());
    }

    /// <summary>Writes all of it, unless the reader has gone or takes nothing for two seconds.</summary>
    /// <returns>0, or the error number of what stopped it.</returns>
    internal static int Write(int fd, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int written = HostIo.Write(fd, bytes);
            if (written >= 0) bytes = bytes[written..];
            else if (written != -Libc.EAGAIN || !HostIo.Wait(fd, Libc.EPOLLOUT, PatienceMilliseconds)) return -written;
        }
        return 0;
    }
}
