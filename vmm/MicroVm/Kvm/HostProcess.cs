namespace MicroVm.Kvm;

/// <summary>This process as its starter left it, and its end.</summary>
internal static unsafe class HostProcess
{
    private const int F_GETFD = 1;
    private const int StandardDescriptors = 3;
    // resource.h: RLIMIT_AS.
    private const int AddressSpace = 9;

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
        ulong* limits = stackalloc ulong[2];
        // The second is what the first may be raised to.
        return Libc.prlimit(0, AddressSpace, null, limits) == 0 && limits[0] != ulong.MaxValue
            ? $"Raise the limit of this process's address space, now {limits[0] >> 20} MiB (ulimit -v)" : otherwise;
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
