using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>File descriptors of this process: how many it may have, and the last of them, which are not the
/// guest's.</summary>
/// <remarks>The kernel gives the lowest number that is free, so one near the limit says that few are left. What a guest
/// asks for (a stream, an interrupt) then is refused; the control socket, and what its commands open, still work.</remarks>
internal static unsafe class HostDescriptors
{
    /// <summary>Descriptors that a guest cannot take: the control socket's clients, and a device that one of them adds.
    /// </summary>
    internal const int Reserve = 64;

    private const int Resource = 7; // RLIMIT_NOFILE

    /// <summary>Most descriptors of this process now (the soft limit of <c>RLIMIT_NOFILE</c>).</summary>
    internal static ulong Limit
    {
        get
        {
            Limits limits;
            return Libc.getrlimit(Resource, &limits) == 0 ? limits.Soft : ulong.MaxValue;
        }
    }

    /// <summary>Descriptors that are open now.</summary>
    internal static int Open => Directory.GetFileSystemEntries("/proc/self/fd").Length - 1;

    /// <summary>Raises the limit of this process as far as it may: the usual one is for programs that use
    /// <c>select</c>. For a program of its own; a library leaves its process as it is.</summary>
    internal static void RaiseLimit()
    {
        Limits limits;
        if (Libc.getrlimit(Resource, &limits) != 0 || limits.Soft >= limits.Hard) return;
        limits.Soft = limits.Hard;
        _ = Libc.setrlimit(Resource, &limits);
    }

    /// <summary>Whether a descriptor that was just made is one of the last, which a guest cannot have.</summary>
    internal static bool IsReserved(int fd) => (ulong)fd + Reserve >= Limit;

    /// <summary>As <see cref="IsReserved"/>.</summary>
    /// <exception cref="MicroVmException">It is one of the last.</exception>
    internal static void CheckGuestMay(int fd, string what)
    {
        if (IsReserved(fd)) throw MicroVmException.Host($"no file descriptor is left for {what}", $"limit {Limit}, {Reserve} are kept for the control socket", Remedy);
    }

    /// <summary>How to get more.</summary>
    internal const string Remedy = "Raise the limit of open files (ulimit -Hn; systemd: LimitNOFILE=)";

    [StructLayout(LayoutKind.Sequential)]
    internal struct Limits
    {
        internal ulong Soft, Hard;
    }
}
