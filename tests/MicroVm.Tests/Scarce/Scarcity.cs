using System.Globalization;
using System.Runtime.InteropServices;
using MicroVm.Kvm;

namespace MicroVm.Tests.Scarce;

/// <summary>The host has nothing more to give to this process, until this is disposed. For a <see cref="Child"/>.
/// </summary>
internal sealed partial class Scarcity : IDisposable
{
    private const int FileSize = 1, Threads = 6, Descriptors = 7; // RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_NOFILE
    private const int GetFlags = 1;

    private readonly int _resource;
    private readonly Limit _found;
    private readonly List<int> _filler = [];

    private Scarcity(int resource)
    {
        _resource = resource;
        if (getrlimit(resource, out _found) != 0) throw new InvalidOperationException("getrlimit");
    }

    /// <summary>How to run a child whose threads can be limited: nobody who is root has a limit of them. It may read
    /// what is root's.</summary>
    internal static string[] AsAnybody { get; } = geteuid() != 0 ? [] :
    [
        "setpriv", "--reuid", "61234", "--regid", "61234", "--clear-groups",
        "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override",
    ];

    /// <summary>Descriptors that are open now.</summary>
    internal static int Open => Numbers().Count;

    /// <summary>So many descriptors are left, and no more.</summary>
    internal static Scarcity OfDescriptors(int left)
    {
        Scarcity scarcity = new(Descriptors);
        int top = Numbers().Max();
        // Numbers below the limit that are free would count as well.
        while (true)
        {
            int filler = Libc.fcntl(0, Libc.F_DUPFD_CLOEXEC, 0);
            if (filler > top)
            {
                _ = Libc.close(filler);
                break;
            }
            scarcity._filler.Add(filler);
        }
        scarcity.Set((ulong)(top + 1 + left));
        return scarcity;
    }

    /// <summary>No thread is left.</summary>
    internal static Scarcity OfThreads()
    {
        Scarcity scarcity = new(Threads);
        scarcity.Set(0);
        return scarcity;
    }

    /// <summary>No file may become larger than this, or be written beyond it.</summary>
    internal static Scarcity OfFileSize(ulong bytes)
    {
        Scarcity scarcity = new(FileSize);
        scarcity.Set(bytes);
        return scarcity;
    }

    public void Dispose()
    {
        Set(_found.Soft);
        foreach (int filler in _filler) _ = Libc.close(filler);
        _filler.Clear();
    }

    private void Set(ulong soft)
    {
        Limit limit = new() { Soft = soft, Hard = _found.Hard };
        if (setrlimit(_resource, limit) != 0) throw new InvalidOperationException("setrlimit");
    }

    // Without the one that the folder is read by, which is closed by now.
    private static List<int> Numbers() =>
    [
        .. Directory.GetFileSystemEntries("/proc/self/fd")
            .Select(static p => int.Parse(Path.GetFileName(p), CultureInfo.InvariantCulture))
            .Where(static n => Libc.fcntl(n, GetFlags, 0) >= 0),
    ];

    private struct Limit
    {
        internal ulong Soft, Hard;
    }

    [LibraryImport("libc")] private static partial int getrlimit(int resource, out Limit limit);
    [LibraryImport("libc")] private static partial int setrlimit(int resource, in Limit limit);
    [LibraryImport("libc")] private static partial uint geteuid();
}
