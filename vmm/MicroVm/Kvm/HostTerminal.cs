namespace MicroVm.Kvm;

/// <summary>A terminal that can be made raw and brought back to what it was. Nothing here throws: a terminal that has gone away needs no restoring.</summary>
internal sealed unsafe class HostTerminal
{
    // termios(3), as cfmakeraw sets them but for OPOST: output stays processed, so that lines of this program and of the guest both begin at the left.
    private const uint IGNBRK = 1, BRKINT = 2, PARMRK = 8, ISTRIP = 0x20, INLCR = 0x40, IGNCR = 0x80, ICRNL = 0x100, IXON = 0x400;
    private const uint ISIG = 1, ICANON = 2, ECHO = 8, ECHONL = 0x40, IEXTEN = 0x8000;
    private const uint CSIZE = 0x30, CS8 = 0x30, PARENB = 0x100;
    private const int VTIME = 5, VMIN = 6;
    private const int TCSANOW = 0;
    private const nuint TIOCGWINSZ = 0x5413;

    private readonly int _fd;
    private Libc.Termios _saved;

    private HostTerminal(int fd, in Libc.Termios saved)
    {
        _fd = fd;
        _saved = saved;
    }

    /// <summary>The terminal at <paramref name="fd"/> as it is now; null if there is none, or if this process is in its background,
    /// where changing it would stop the process (SIGTTOU).</summary>
    internal static HostTerminal? TryOpen(int fd)
    {
        Libc.Termios state;
        if (Libc.tcgetattr(fd, &state) != 0 || Libc.tcgetpgrp(fd) != Libc.getpgrp()) return null;
        return new HostTerminal(fd, state);
    }

    /// <summary>True if a terminal is at <paramref name="fd"/>.</summary>
    internal static bool IsTerminal(int fd) => Libc.isatty(fd) == 1;

    /// <summary>Columns and rows; null if there is no terminal, or it does not know.</summary>
    internal static (ushort Columns, ushort Rows)? Size(int fd)
    {
        // struct winsize: rows, columns, two that nobody fills.
        ushort* size = stackalloc ushort[4];
        return Libc.ioctl(fd, TIOCGWINSZ, size) == 0 && size[0] != 0 && size[1] != 0 ? (size[1], size[0]) : null;
    }

    /// <summary>Each byte at once, none with a meaning of its own, no echo.</summary>
    internal void MakeRaw()
    {
        Libc.Termios raw = _saved;
        raw.InputFlags &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        raw.LocalFlags &= ~(ISIG | ICANON | ECHO | ECHONL | IEXTEN);
        raw.ControlFlags = (raw.ControlFlags & ~(CSIZE | PARENB)) | CS8;
        raw.ControlCharacters[VMIN] = 1;
        raw.ControlCharacters[VTIME] = 0;
        _ = Libc.tcsetattr(_fd, TCSANOW, &raw);
    }

    /// <summary>Where it is.</summary>
    internal int Descriptor => _fd;

    /// <summary>How it was found: the first bytes of <c>struct termios</c>, which are the kernel's.</summary>
    internal void CopySaved(Span<byte> state)
    {
        Libc.Termios saved = _saved;
        new ReadOnlySpan<byte>(&saved, state.Length).CopyTo(state);
    }

    /// <summary>As it was found. From any thread, more than once.</summary>
    internal void Restore()
    {
        Libc.Termios saved = _saved;
        _ = Libc.tcsetattr(_fd, TCSANOW, &saved);
    }
}
