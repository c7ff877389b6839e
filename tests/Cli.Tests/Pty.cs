using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>A terminal (pty(7)) whose other end is this process, in a state that no program sets by itself.</summary>
internal sealed partial class Pty : IDisposable
{
    private const int ReadWrite = 2, NoControllingTerminal = 0x100, CloseOnExec = 0x80000, TermiosBytes = 60;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly int _master;
    // Held, as the last one that closes a terminal resets it.
    private readonly int _terminal;

    internal Pty()
    {
        _master = Checked(posix_openpt(ReadWrite | NoControllingTerminal | CloseOnExec));
        Checked(grantpt(_master));
        Checked(unlockpt(_master));
        byte[] name = new byte[64];
        Checked(ptsname_r(_master, name, name.Length));
        Path = System.Text.Encoding.ASCII.GetString(name).TrimEnd('\0');
        _terminal = Checked(open(Path, ReadWrite | NoControllingTerminal | CloseOnExec));
        Stty("rows 33 cols 99 intr ^E -echoe ixany");
        Found = State();
    }

    /// <summary>Its name in the file system.</summary>
    internal string Path { get; }

    /// <summary>Its settings before anybody used it.</summary>
    internal byte[] Found { get; }

    /// <summary>Its settings (termios(3)) now.</summary>
    internal byte[] State()
    {
        byte[] state = new byte[TermiosBytes];
        Checked(tcgetattr(_terminal, state));
        return state;
    }

    /// <summary>Starts a program as the leader of a session of which this is the terminal; what it writes to standard error is read from the process.</summary>
    /// <param name="before">Words of the shell that come before the program's name.</param>
    /// <param name="program">Its path.</param>
    /// <param name="args">Its arguments.</param>
    internal Process Start(string before, string program, params string[] args)
    {
        ProcessStartInfo start = new("/bin/sh", ["-c", $"exec setsid -c {before} \"$0\" \"$@\" <{Path} >{Path}", program, .. args]) { RedirectStandardError = true };
        start.Environment.Remove("MICROVM_DEBUG");
        return Process.Start(start)!;
    }

    /// <summary>Waits until somebody has made it raw, or, where <paramref name="raw"/> is false, as it was found.</summary>
    internal void Await(bool raw, Process process)
    {
        long start = Stopwatch.GetTimestamp();
        while (State().AsSpan().SequenceEqual(Found) == raw)
        {
            Assert.False(process.HasExited, process.HasExited ? process.StandardError.ReadToEnd() : "");
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, "the terminal does not change");
            Thread.Sleep(2);
        }
    }

    /// <summary>Types.</summary>
    internal void Type(string keys) => Assert.Equal(keys.Length, (int)write(_master, System.Text.Encoding.Latin1.GetBytes(keys), keys.Length));

    /// <summary>Changes it as another program would, with the words of stty(1).</summary>
    internal void Stty(string words) => Assert.Equal(new Ran(0, "", ""), Cli.Shell($"stty -F {Path} {words}"));

    public void Dispose()
    {
        _ = close(_terminal);
        _ = close(_master);
    }

    private static int Checked(int result) => result >= 0 ? result : throw new Win32Exception();

    [LibraryImport("libc", SetLastError = true)] private static partial int posix_openpt(int flags);
    [LibraryImport("libc", SetLastError = true)] private static partial int grantpt(int fd);
    [LibraryImport("libc", SetLastError = true)] private static partial int unlockpt(int fd);
    [LibraryImport("libc", SetLastError = true)] private static partial int ptsname_r(int fd, [Out] byte[] name, nint length);
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)] private static partial int open(string path, int flags);
    [LibraryImport("libc", SetLastError = true)] private static partial int tcgetattr(int fd, [Out] byte[] state);
    [LibraryImport("libc", SetLastError = true)] private static partial nint write(int fd, byte[] bytes, nint length);
    [LibraryImport("libc")] private static partial int close(int fd);
}
