using System.Text;
using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>Text to standard output and standard error, by system calls: the class <see cref="Console"/> costs a start
/// about a millisecond.</summary>
internal static class Output
{
    private const int StandardOutput = 1, StandardError = 2;
    private const int PatienceMilliseconds = 2000, Forever = -1;
    // What a terminal shows in another order than it was written: U+202A to U+202E and U+2066 to U+2069.
    private const char FirstEmbedding = '\u202a', LastEmbedding = '\u202e';
    private const char FirstIsolate = '\u2066', LastIsolate = '\u2069';

    /// <summary>Prints to standard output; what a terminal would take for an order is escaped, since some of the text
    /// is a guest's. A reader that has gone (<c>| head</c>) is no error.</summary>
    /// <exception cref="MicroVmException">It cannot be written: its disk is full, for example.</exception>
    internal static void Out(string text) => Raw(Plain(text));

    /// <summary>As <see cref="Out"/>, with the colours that are in the text; the parts of it that come from elsewhere
    /// are <see cref="Plain"/>.</summary>
    /// <exception cref="MicroVmException">As <see cref="Out"/>.</exception>
    internal static void Coloured(string text) => Raw(text);

    /// <summary>Prints to standard error as it is.</summary>
    internal static void Error(string text) => _ =
        Write(StandardError, Encoding.UTF8.GetBytes(text), PatienceMilliseconds);

    /// <summary>Prints one line to standard error: a line break or an escape sequence in a file's name must not make it
    /// look like two.</summary>
    internal static void ErrorLine(string line) => Error(Plain(line).Replace('\n', '?').Replace('\t', '?') + "\n");

    /// <summary>The text with a question mark for each character that is an order to a terminal; line feeds and tabs
    /// stay.</summary>
    internal static string Plain(string text) => string.Create(text.Length, text, static (plain, from) =>
    {
        for (int i = 0; i < plain.Length; i++) plain[i] = IsOrder(from[i]) ? '?' : from[i];
    });

    /// <summary>Writes all of it, unless the reader has gone or takes nothing for some time.</summary>
    /// <param name="fd">Where to.</param>
    /// <param name="bytes">What.</param>
    /// <param name="patience">That time in milliseconds; -1: any.</param>
    /// <returns>0, or the error number.</returns>
    internal static int Write(int fd, ReadOnlySpan<byte> bytes, int patience)
    {
        while (!bytes.IsEmpty)
        {
            int written = HostIo.Write(fd, bytes);
            if (written >= 0) bytes = bytes[written..];
            else if (written != -Libc.EAGAIN) return -written;
            else if (!HostIo.Wait(fd, Libc.EPOLLOUT, patience)) return Libc.EAGAIN;
        }
        return 0;
    }

    private static void Raw(string text)
    {
        int error = Write(StandardOutput, Encoding.UTF8.GetBytes(text), Forever);
        if (error is 0 or Libc.EPIPE) return;
        throw MicroVmException.Host("cannot write the output", $"standard output: {Libc.Describe(error)}",
            "Send it to another place, or free space there");
    }

    private static bool IsOrder(char c) => c is not ('\n' or '\t')
        && (char.IsControl(c) || c is >= FirstEmbedding and <= LastEmbedding or >= FirstIsolate and <= LastIsolate);
}
