using System.Text;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>The kernel's command line.</summary>
internal static class CommandLine
{
    private const string Panic = "panic=-1";

    /// <summary>What a Linux kernel is told besides, in front of the user's words, so that theirs win: one that panics
    /// ends the machine instead of standing still for ever.</summary>
    /// <param name="text">The user's words.</param>
    /// <param name="limit">Bytes that the kernel takes.</param>
    /// <returns><paramref name="text"/> alone where there is no room for more.</returns>
    internal static string ForLinux(string text, int limit)
    {
        string whole = text.Length == 0 ? Panic : $"{Panic} {text}";
        return Encoding.UTF8.GetByteCount(whole) <= limit ? whole : text;
    }

    /// <summary>Writes it, ended by a NUL, to <see cref="BootLayout.CommandLine"/>.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="text">Command line; becomes UTF-8.</param>
    /// <param name="limit">Bytes that the kernel takes, without the NUL.</param>
    /// <exception cref="MicroVmException">It is too long, or holds a NUL, at which the kernel would stop reading.</exception>
    internal static void Write(GuestMemory memory, string text, int limit = LinuxBootConst.CommandLineMax)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        if (length > limit) throw MicroVmException.Usage("the kernel's command line is too long", $"{length} bytes of at most {limit}", "Shorten --cmdline");
        int nul = text.IndexOf('\0', StringComparison.Ordinal);
        if (nul >= 0) throw MicroVmException.Usage("the kernel's command line holds a NUL", $"at character {nul}", "Take it out of --cmdline");
        if (!memory.TryRange(BootLayout.CommandLine, (ulong)length + 1, out HostRange range)) throw MemoryMap.TooSmall(memory);
        Encoding.UTF8.GetBytes(text, range.Span);
        range.Store(range.Length - 1, (byte)0);
    }
}
