using MicroVm.Kvm;

namespace MicroVm;

/// <summary>Whose fault a failure is; the value is the exit code of <c>microvm</c>.</summary>
public enum FailureKind
{
    /// <summary>The host or this monitor could not do its part.</summary>
    Host = 125,
    /// <summary>The kernel, the initial RAM disk or a disk could not be used.</summary>
    Image = 126,
    /// <summary>The configuration asks for something that cannot be.</summary>
    Usage = 127,
}

/// <summary>A failure that the caller can act on. Thrown once, at the edge where the host refused.</summary>
/// <param name="kind">Whose fault it is.</param>
/// <param name="what">What failed, without a full stop: "cannot open the kernel".</param>
/// <param name="where">The thing that it failed on: a path, a flag, a field of a header.</param>
/// <param name="remedy">What to try, a sentence without its full stop; a question keeps its mark.</param>
public class MicroVmException(FailureKind kind, string what, string where, string remedy)
    : Exception($"{what}, {where}. {remedy}{(remedy.EndsWith('?') ? "" : ".")}")
{
    /// <summary>Whose fault it is.</summary>
    public FailureKind Kind { get; } = kind;

    /// <summary>What failed.</summary>
    public string What { get; } = what;

    /// <summary>The thing that it failed on.</summary>
    public string Where { get; } = where;

    /// <summary>What to try.</summary>
    public string Remedy { get; } = remedy;

    /// <summary>A system call failed. That this process has no descriptors left is no fault of the thing that it was
    /// about to open, and has its own remedy, as has its limit on the size of files.</summary>
    internal static MicroVmException Refused(FailureKind kind, string what, string where, int errno, string remedy) => errno is Libc.EMFILE or Libc.ENFILE
        ? Host(what, $"{where}: {Libc.Describe(errno)}", "Raise the limit of open files (ulimit -n)")
        : new(kind, what, $"{where}: {Libc.Describe(errno)}",
            errno == Libc.EFBIG ? "Raise the limit on the size of files (ulimit -f)" : remedy);

    /// <summary>A descriptor that was given could not be duplicated: it is not open, or this process has no more of them.</summary>
    internal static MicroVmException NotOpen(string key, int given, int errno, string remedy) => Refused(
        FailureKind.Usage, errno is Libc.EMFILE or Libc.ENFILE ? "cannot duplicate the descriptor" : "not an open descriptor", $"{key}={given}", errno, remedy);

    internal static MicroVmException Host(string what, string where, string remedy) => new(FailureKind.Host, what, where, remedy);

    internal static MicroVmException Image(string what, string where, string remedy) => new(FailureKind.Image, what, where, remedy);

    internal static MicroVmException Usage(string what, string where, string remedy) => new(FailureKind.Usage, what, where, remedy);
}
