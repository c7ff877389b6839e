using MicroVm.Kvm;

namespace MicroVm.Cli.Control;

/// <summary>Where control sockets are.</summary>
internal static class ControlPath
{
    /// <summary>The end of a named socket's file name.</summary>
    internal const string Suffix = ".sock";

    private const int MaxName = 64, OwnersOnly = 0x1c0 /* 0700 */;

    /// <summary>The name of the machine that has a socket, if it lies in the folder of names.</summary>
    internal static string NameOf(string path) => Path.GetFileNameWithoutExtension(path);

    /// <summary>The socket of a name or path: what has a slash is a path.</summary>
    internal static string Of(string nameOrPath, string where) => nameOrPath.Contains('/', StringComparison.Ordinal) ? nameOrPath : OfName(nameOrPath, where);

    /// <summary>The socket of a machine's name.</summary>
    /// <exception cref="MicroVmException">It is no name, or this user has no folder for such sockets.</exception>
    internal static string OfName(string name, string where)
    {
        if (!IsName(name)) throw MicroVmException.Usage("not a name for a machine", where, $"Give 1 to {MaxName} letters, digits, dots, dashes and underscores, the first of them a letter or digit");
        return $"{Folder(where)}/{name}{Suffix}";
    }

    /// <summary>Refuses what no socket can have.</summary>
    internal static string Check(string path, string where) => HostSocket.IsPath(path)
        ? path : throw MicroVmException.Usage("not a path for a socket", where, $"Give one of at most {HostSocket.MaxPath} bytes");

    /// <summary>Makes the folder of named sockets, for its owner only; one that is there is left as it is.</summary>
    internal static void MakeFolder(string socket) => _ = HostFile.MakeDirectory(Path.GetDirectoryName(socket)!, OwnersOnly);

    /// <summary>The folder of named sockets, which may not be there yet.</summary>
    /// <exception cref="MicroVmException">This user has none.</exception>
    internal static string Folder(string where)
    {
        if (HostFile.EffectiveUser == 0) return "/run/microvm";
        string? own = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        return own is { Length: > 0 } ? $"{own}/microvm" : throw MicroVmException.Usage("this user has no folder for sockets, XDG_RUNTIME_DIR is not set", where, "Give a path: --api-socket PATH");
    }

    private static bool IsName(string name) => name.Length is > 0 and <= MaxName && char.IsAsciiLetterOrDigit(name[0]) && name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');
}
