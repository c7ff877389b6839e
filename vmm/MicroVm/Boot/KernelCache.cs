using System.IO.Hashing;
using System.Runtime.InteropServices;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>Unpacked kernels on disk, as they lie in guest memory: the second start maps one instead of unpacking it.</summary>
/// <remarks>A file is the kernel's memory from a 2 MiB boundary on, with holes where it is zero, and a <see cref="KernelSealPage"/> at the end. It is written under another name,
/// renamed when complete and never changed, so that whoever reads it reads it whole; <c>docs/decisions/0010-kernel-cache.md</c>. Any trouble means no cache and is no error.</remarks>
internal sealed class KernelCache : IDisposable
{
    private const string NamePrefix = "kernel-";
    private const ulong Boundary = 1 << 21;

    /// <summary>Kernels that are spread over more memory than this are not kept.</summary>
    private const ulong MaxSpan = 1 << 30;

    // A source that changed so lately may change again within the same tick of its file system's clock.
    private const long TickNanoseconds = 20_000_000;

    // Whoever has been writing for so long is dead.
    private const long StaleNanoseconds = 60_000_000_000;

    /// <summary>Kernels that are kept; storing one more takes away those that were stored first.</summary>
    internal const int MaxFiles = 8;

    private readonly HostFile _directory;

    private KernelCache(HostFile directory) => _directory = directory;

    /// <summary>Opens the user's cache: <c>$MICROVM_CACHE</c> (a directory, or <c>off</c>), else <c>microvm</c> in <c>$XDG_CACHE_HOME</c> or <c>$HOME/.cache</c>. Null without one.</summary>
    internal static KernelCache? OpenDefault()
    {
        string? chosen = Environment.GetEnvironmentVariable("MICROVM_CACHE");
        if (chosen is "off" or "0") return null;
        if (!string.IsNullOrEmpty(chosen)) return Open(chosen);
        string? parent = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (parent is null or "" || parent[0] != '/')
        {
            string? home = Environment.GetEnvironmentVariable("HOME");
            if (home is null or "" || home[0] != '/') return null;
            parent = home + "/.cache";
        }
        if (Open(parent + "/microvm") is { } cache) return cache;
        _ = HostFile.MakeDirectory(parent, 0x1c0);
        return Open(parent + "/microvm");
    }

    /// <summary>Opens a directory as a cache, made if it is missing; null unless it is ours alone and no symbolic link.</summary>
    internal static KernelCache? Open(string path)
    {
        const int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW;
        HostFile? directory = HostFile.TryOpen(path, flags, out int error);
        if (directory is null && error == Libc.ENOENT && HostFile.MakeDirectory(path, 0x1c0) == 0) directory = HostFile.TryOpen(path, flags, out _);
        if (directory is null) return null;
        if (directory.TryStatus(out HostFileStatus s, out _) && IsOurs(s)) return new KernelCache(directory);
        directory.Dispose();
        return null;
    }

    /// <summary>Puts a kernel into guest memory in its unpacked form; null if there is none that fits this source as it is now.</summary>
    /// <exception cref="MicroVmException">There is one, but it does not fit into this guest.</exception>
    internal KernelImage? TryLoad(GuestMemory memory, BootFile source)
    {
        using HostFile? file = _directory.TryOpenAt(FileName(source), Libc.O_RDONLY | Libc.O_NOFOLLOW, out _);
        if (file is null || !file.TryStatus(out HostFileStatus s, out _) || s.Kind != HostFileKind.Regular || !IsOurs(s)) return null;
        if (s.Size < KernelSealPage.Size || s.Size % GuestMemory.PageSize != 0) return null;
        ulong length = s.Size - KernelSealPage.Size;
        Span<byte> page = stackalloc byte[KernelSealPage.Size];
        if (file.Read(page, length) != page.Length || KernelSealPage.Read(page, source, length, out ulong start) is not { } image) return null;
        image.CheckPlace(memory, source);
        // Everything from the first segment to the last byte that is not zero, in one read: gaps are holes of the file.
        ulong from = image.Start & ~(GuestMemory.PageSize - 1);
        if (from < start || from - start > length) return null;
        length -= from - start;
        if (length == 0) return image;
        return memory.TryRange(from, length, out HostRange range) && file.Read(range, from - start) == (long)length ? image : null;
    }

    /// <summary>Keeps a kernel that has just been put into guest memory. The guest must not have run.</summary>
    /// <returns>Whether it is kept now.</returns>
    internal bool Store(GuestMemory memory, BootFile source, KernelImage image)
    {
        ulong start = image.Start & ~(Boundary - 1);
        if (image.Segments.Length > Devices.KernelSealConst.MaxSegments || image.End - start > MaxSpan || !IsSettled(source)) return false;
        string name = FileName(source), temporary = name + ".new";
        using HostFile? file = Create(temporary);
        if (file is null) return false;
        // On the disk before it has its name: after a crash of the host the bytes are not looked at again.
        bool written = Write(file, memory, source, image, start) && file.Flush() == 0;
        bool kept = written && _directory.RenameAt(temporary, name) == 0;
        if (kept) Prune(name);
        else _ = _directory.UnlinkAt(temporary);
        return kept;
    }

    /// <summary>Closes the directory. Mappings stay.</summary>
    public void Dispose() => _directory.Dispose();

    // By name through the open directory, which cannot be exchanged on the way. Whoever has one of them open goes on reading it.
    private void Prune(string latest)
    {
        try
        {
            while (true)
            {
                string[] files = Directory.GetFiles($"/proc/self/fd/{_directory.Descriptor}/.");
                (int count, string? oldest, long stored) = (0, null, long.MaxValue);
                foreach (string path in files)
                {
                    string name = path[(path.LastIndexOf('/') + 1)..];
                    if (!name.StartsWith(NamePrefix, StringComparison.Ordinal)) continue;
                    count++;
                    using HostFile? file = _directory.TryOpenAt(name, Libc.O_RDONLY | Libc.O_NOFOLLOW, out _);
                    if (name == latest || file is null || !file.TryStatus(out HostFileStatus s, out _) || s.Modified >= stored) continue;
                    (oldest, stored) = (name, s.Modified);
                }
                if (count <= MaxFiles || oldest is null || _directory.UnlinkAt(oldest) != 0) return;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without /proc the folder is left to grow.
        }
    }

    private static bool Write(HostFile file, GuestMemory memory, BootFile source, KernelImage image, ulong start)
    {
        ulong end = 0;
        var trimmed = new KernelSegment[image.Segments.Length];
        for (int i = 0; i < trimmed.Length; i++)
        {
            KernelSegment s = image.Segments[i];
            if (s.FileSize != 0 && !WriteSegment(file, memory, ref s, start)) return false;
            trimmed[i] = s;
            if (s.FileSize != 0) end = Math.Max(end, s.Address - start + s.FileSize);
        }
        byte[] page = KernelSealPage.Write(source,
            new KernelImage(image.Mode, image.Entry, trimmed) { IsLinux = image.IsLinux }, start);
        ulong last = (end + GuestMemory.PageSize - 1) & ~(GuestMemory.PageSize - 1);
        return file.Write(page, last) == page.Length;
    }

    private static bool WriteSegment(HostFile file, GuestMemory memory, ref KernelSegment s, ulong start)
    {
        if (!memory.TryRange(s.Address, s.FileSize, out HostRange range)) return false;
        ulong length = ZeroPages.Trim(range);
        s = s with { FileSize = length };
        return file.Write(range.Slice(0, length), s.Address - start) == (long)length;
    }

    // Whoever makes the file writes it; others go without. A writer that died leaves one that is taken away when it is old.
    private HostFile? Create(string temporary)
    {
        const int flags = Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL | Libc.O_NOFOLLOW;
        HostFile? file = _directory.TryOpenAt(temporary, flags, out int error, 0x180);
        if (file is not null || error != Libc.EEXIST) return file;
        using (HostFile? old = _directory.TryOpenAt(temporary, Libc.O_RDONLY | Libc.O_NOFOLLOW, out _))
            if (old is null || !old.TryStatus(out HostFileStatus s, out _) || Now() - s.Changed < StaleNanoseconds) return null;
        _ = _directory.UnlinkAt(temporary);
        return _directory.TryOpenAt(temporary, flags, out _, 0x180);
    }

    // Unchanged since it was opened, and not changed just before.
    private static bool IsSettled(BootFile source) =>
        source.File.TryStatus(out HostFileStatus now, out _) && now == source.Status && Now() - now.Changed > TickNanoseconds;

    private static long Now() => (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;

    private static bool IsOurs(in HostFileStatus s) => s.Owner == HostFile.EffectiveUser && (s.Permissions & 0x3f) == 0;

    // One file for each source, whatever becomes of it: a kernel that is rebuilt in place takes the place of its former self.
    private static string FileName(BootFile source)
    {
        Span<ulong> key = [source.Status.Device, source.Status.Inode];
        return string.Create(null, stackalloc char[32], $"{NamePrefix}{XxHash3.HashToUInt64(MemoryMarshal.AsBytes(key)):x16}");
    }
}
