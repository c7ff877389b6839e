using MicroVm.Kvm;

namespace MicroVm.Cli;

/// <summary>Files that this program writes for its user: a page, a timeline.</summary>
internal static class OutputFile
{
    private const int Forever = -1;

    /// <summary>Makes the file, or empties the one that is there. A symbolic link is not followed: in a folder of many
    /// users somebody else may have made it.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="what">What it is in messages: "the page".</param>
    /// <exception cref="MicroVmException">The host refused.</exception>
    internal static HostFile Create(string path, string what)
    {
        const int flags = Libc.O_WRONLY | Libc.O_CREAT | Libc.O_TRUNC | Libc.O_NOFOLLOW;
        return HostFile.TryOpen(path, flags, out int error, mode: 0x1a4 /* 0644 */)
            ?? throw (error == Libc.ELOOP
                ? MicroVmException.Host($"cannot make {what}", $"{path} is a symbolic link",
                    "Use the path of the file itself")
                : MicroVmException.Refused(FailureKind.Host, $"cannot make {what}", path, error,
                    "Use a path in a folder that can be written"));
    }

    /// <summary>Writes all of it.</summary>
    /// <param name="file">From <see cref="Create"/>.</param>
    /// <param name="path">Its path.</param>
    /// <param name="what">What it is in messages.</param>
    /// <param name="bytes">Its content.</param>
    /// <exception cref="MicroVmException">The host refused.</exception>
    internal static void Write(HostFile file, string path, string what, ReadOnlySpan<byte> bytes)
    {
        int error = Output.Write(file.Descriptor, bytes, Forever);
        if (error != 0) throw MicroVmException.Refused(FailureKind.Host, $"cannot write {what}", path, error,
            "Free space on its disk, or use another path");
    }
}
