namespace MicroVm.Kvm;

/// <summary>This process as its starter left it, and its end.</summary>
internal static unsafe class HostProcess
{
    private const int F_GETFD = 1;
    private const int StandardDescriptors = 3;
    /// <summary>Limits of a process (resource.h): RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_AS.</summary>
    internal const int FileSize = 1, OpenFiles = 7, AddressSpace = 9;

    /// <summary>Opens <c>/dev/null</c> in the place of each standard descriptor that the starter closed: else the next file that is opened,
    /// a disk for example, would become standard output.</summary>
    internal static void FillStandardDescriptors()
    {
        for (int fd = 0; fd < StandardDescriptors; fd++)
        {
            if (Libc.fcntl(fd, F_GETFD, 0) >= 0) continue;
            // The lowest free number is given out, and all below are taken.
            fixed (byte* path = "/dev/null\0"u8) _ = Libc.open(path, Libc.O_RDWR, 0);
        }
    }

    /// <summary>What to do where the host gives no address space: raise the limit of this process, if it has
    /// one.</summary>
    /// <param name="otherwise">What helps without a limit.</param>
    internal static string MoreMemory(string otherwise)
    {
        return TryLimit(AddressSpace, out ulong soft, out _) && soft != ulong.MaxValue
            ? $"Raise the limit of this process's address space, now {soft >> 20} MiB (ulimit -v)" : otherwise;
    }

    /// <summary>A limit of this process, and what it may be raised to.</summary>
    internal static bool TryLimit(int resource, out ulong soft, out ulong hard)
    {
        ulong* limits = stackalloc ulong[2];
        bool known = Libc.prlimit(0, resource, null, limits) == 0;
        (soft, hard) = (limits[0], limits[1]);
        return known;
    }

    /// <summary>Sets a limit of a process, of this one if none is named; nothing happens where that is not
    /// permitted.</summary>
    internal static void SetLimit(int resource, ulong soft, ulong hard, int process = 0)
    {
        ulong* limits = stackalloc ulong[2] { soft, hard };
        _ = Libc.prlimit(process, resource, limits, null);
    }

    /// <summary>Its threads: the kernel's number and the first 15 bytes of the name of each.</summary>
    internal static List<(int Id, string Name)> Threads()
    {
        List<(int, string)> threads = [];
        Span<byte> name = stackalloc byte[32];
        foreach (string folder in Directory.GetDirectories("/proc/self/task"))
        {
            using HostFile? file = HostFile.TryOpen(folder + "/comm", Libc.O_RDONLY, out _);
            // One that has ended meanwhile.
            if (file is null || !int.TryParse(Path.GetFileName(folder), out int id)) continue;
            int length = (int)Math.Max(0, file.Read(name, 0));
            threads.Add((id, System.Text.Encoding.UTF8.GetString(name[..length]).TrimEnd('\n')));
        }
        return threads;
    }

    /// <summary>Ends the process now: no finalizer, no handler, nothing flushed.</summary>
    internal static void Exit(int code) => Libc._exit(code);
}
