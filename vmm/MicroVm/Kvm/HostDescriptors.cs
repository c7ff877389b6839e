namespace MicroVm.Kvm;

/// <summary>File descriptors of this process: how many it may have, and the last of them, which are not the
/// guest's.</summary>
/// <remarks>The kernel gives the lowest number that is free, so one near the limit says that few are left. What a guest
/// asks for (a stream, an interrupt) then is refused; the control socket, and what its commands open, still work.</remarks>
internal static class HostDescriptors
{
    /// <summary>Descriptors that a guest cannot take: the control socket's clients, and a device that one of them adds.
    /// </summary>
    internal const int Reserve = 64;

    /// <summary>Raises the limit of this process as far as it may: the usual one is for programs that use
    /// <c>select</c>. For a program of its own; a library leaves its process as it is.</summary>
    internal static void RaiseLimit()
    {
        if (!HostProcess.TryLimit(HostProcess.OpenFiles, out ulong soft, out ulong hard) || soft >= hard) return;
        HostProcess.SetLimit(HostProcess.OpenFiles, hard, hard);
    }

    /// <summary>Whether a descriptor that was just made is one of the last, which a guest cannot have.</summary>
    internal static bool IsReserved(int fd) => (ulong)fd + Reserve >= Limit;

    /// <summary>As <see cref="IsReserved"/>.</summary>
    /// <exception cref="MicroVmException">It is one of the last.</exception>
    internal static void CheckGuestMay(int fd, string what)
    {
        if (!IsReserved(fd)) return;
        throw MicroVmException.Host($"no file descriptor is left for {what}",
            $"limit {Limit}, {Reserve} are kept for the control socket",
            "Raise the limit of open files (ulimit -Hn; systemd: LimitNOFILE=)");
    }

    private static ulong Limit =>
        HostProcess.TryLimit(HostProcess.OpenFiles, out ulong soft, out _) ? soft : ulong.MaxValue;
}
