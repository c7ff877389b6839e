using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>A file that a user named: opened without waiting, found to be a regular file, and its first bytes read.</summary>
/// <remarks>A small kernel costs four system calls: open, fstat, pread, close. It is never mapped: whoever may truncate it could then kill a running guest.</remarks>
internal sealed class BootFile : ImageBytes, IDisposable
{
    /// <summary>First bytes that are read at once; all of a one-page kernel.</summary>
    internal const int PrefixSize = 4096;

    private readonly byte[] _prefix;
    private readonly int _prefixLength;
    private readonly string _role;

    private BootFile(HostFile file, string name, string role, int prefixSize) : base(name)
    {
        File = file;
        _role = role;
        if (!file.TryStatus(out HostFileStatus status, out int error)) throw Unusable(Libc.Describe(error), "Check the path");
        Status = status;
        if (status.Kind != HostFileKind.Regular) throw Unusable($"is {Describe(status.Kind)}", "Give the path of a regular file");
        if (status.Size == 0) throw Unusable("is empty", "Copy it again");
        _prefix = new byte[Math.Min((ulong)prefixSize, status.Size)];
        long read = _prefix.Length == 0 ? 0 : file.Read(_prefix, 0);
        if (read < 0) throw Unusable(Libc.Describe((int)-read), "Check the disk that it is on");
        _prefixLength = (int)read;
    }

    /// <summary>The open file.</summary>
    internal HostFile File { get; }

    /// <summary>What it was when it was opened.</summary>
    internal HostFileStatus Status { get; }

    internal override ulong Length => Status.Size;

    /// <summary>The first bytes, at most <see cref="PrefixSize"/>.</summary>
    internal ReadOnlySpan<byte> Prefix => _prefix.AsSpan(0, _prefixLength);

    /// <summary>Opens a kernel.</summary>
    /// <exception cref="MicroVmException">It cannot be opened, or is not a regular file with something in it.</exception>
    internal static BootFile OpenKernel(string path) => Open(path, "kernel", PrefixSize);

    /// <summary>Opens an initial RAM disk.</summary>
    /// <exception cref="MicroVmException">It cannot be opened, or is not a regular file with something in it.</exception>
    internal static BootFile OpenInitrd(string path) => Open(path, "initrd", 0);

    /// <summary>Takes over a descriptor of a kernel, which is closed with this object or here on failure.</summary>
    /// <exception cref="MicroVmException">It is not a regular file with something in it.</exception>
    internal static BootFile FromDescriptor(int fd, string name) => Wrap(HostFile.FromDescriptor(fd), name, "kernel", PrefixSize);

    internal override void Read(ulong offset, Span<byte> into)
    {
        if (!Has(offset, (ulong)into.Length)) throw Short(offset, (ulong)into.Length);
        if (offset + (ulong)into.Length <= (ulong)_prefixLength)
        {
            _prefix.AsSpan((int)offset, into.Length).CopyTo(into);
            return;
        }
        Expect(File.Read(into, offset), offset, (ulong)into.Length);
    }

    internal override void Read(ulong offset, HostRange into)
    {
        if (!Has(offset, into.Length)) throw Short(offset, into.Length);
        if (offset + into.Length <= (ulong)_prefixLength) _prefix.AsSpan((int)offset, (int)into.Length).CopyTo(into.Span);
        else Expect(File.Read(into, offset), offset, into.Length);
    }

    /// <summary>The file cannot be used at all.</summary>
    internal MicroVmException Unusable(string problem, string remedy) => Unusable(_role, Name, problem, remedy);

    /// <summary>Closes the file.</summary>
    public void Dispose() => File.Dispose();

    private static BootFile Open(string path, string role, int prefixSize)
    {
        HostFile? file = HostFile.TryOpen(path, Libc.O_RDONLY, out int error);
        if (file is null) throw MicroVmException.Refused(FailureKind.Image, $"cannot use the {role}", path.Replace("\0", "\\0"), error, $"Check the path given with --{role}");
        return Wrap(file, path, role, prefixSize);
    }

    private static BootFile Wrap(HostFile file, string name, string role, int prefixSize)
    {
        try
        {
            return new BootFile(file, name, role, prefixSize);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void Expect(long read, ulong offset, ulong length)
    {
        if (read < 0) throw Unusable($"cannot be read: {Libc.Describe((int)-read)}", "Check the disk that it is on");
        if ((ulong)read != length) throw Short(offset, length);
    }

    private static MicroVmException Unusable(string role, string name, string problem, string remedy) =>
        MicroVmException.Image($"cannot use the {role}", $"{name}: {problem}", remedy);

    private static string Describe(HostFileKind kind) => kind switch
    {
        HostFileKind.Directory => "a directory",
        HostFileKind.BlockDevice => "a block device",
        HostFileKind.CharacterDevice => "a character device",
        HostFileKind.Fifo => "a FIFO",
        HostFileKind.Socket => "a socket",
        _ => "not a regular file",
    };
}
