using System.Text;
using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>The kernel's command line.</summary>
internal static class CommandLine
{
    /// <summary>What a Linux kernel is told besides, in front of the user's words, so that theirs win.</summary>
    /// <param name="text">The user's words.</param>
    /// <param name="hasPci">The machine has PCI.</param>
    /// <param name="limit">Bytes that the kernel takes.</param>
    /// <returns><paramref name="text"/> alone where there is no room for more.</returns>
    internal static string ForLinux(string text, bool hasPci, int limit)
    {
        // A kernel that panics ends the machine instead of standing still for ever.
        string more = "panic=-1";
        // Else it looks for configuration space, and says as an error that it found none.
        if (!hasPci && !HasWord(text, "pci=")) more += " pci=off";
        string whole = text.Length == 0 ? more : $"{more} {text}";
        return Encoding.UTF8.GetByteCount(whole) <= limit ? whole : text;
    }

    private static bool HasWord(string text, string start)
    {
        for (int at = 0; (at = text.IndexOf(start, at, StringComparison.Ordinal)) >= 0; at++)
        {
            if (at == 0 || text[at - 1] == ' ') return true;
        }
        return false;
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
