using System.Runtime.InteropServices;
using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>What a path led to.</summary>
internal enum HostFileKind
{
    Regular,
    Directory,
    BlockDevice,
    CharacterDevice,
    Fifo,
    Socket,
    Other,
}

/// <summary>What the host knows about an open file.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Size">Bytes; of a block device its capacity.</param>
/// <param name="Device">File system that it is on.</param>
/// <param name="Inode">Its number there.</param>
/// <param name="Owner">User who owns it.</param>
/// <param name="Permissions">The twelve permission bits.</param>
/// <param name="Modified">Time of the last change of its content, nanoseconds since 1970.</param>
/// <param name="Changed">Time of the last change of anything, which no user can set back; nanoseconds since 1970.</param>
internal readonly record struct HostFileStatus(
    HostFileKind Kind, ulong Size, ulong Device, ulong Inode, uint Owner, uint Permissions, long Modified, long Changed);

/// <summary>Sizes of blocks of a file or block device, in bytes; powers of two.</summary>
/// <param name="Logical">What can be read and written, at least 512.</param>
/// <param name="Physical">What costs no reading before it is written.</param>
/// <param name="Optimal">What is transferred best, or 0.</param>
/// <param name="Freed">What can be given back, at least a physical one; 0 if nothing can.</param>
internal readonly record struct HostBlockSizes(uint Logical, uint Physical, uint Optimal, uint Freed);

/// <summary>An open file of the host: positional reads and writes that never throw, so that a device can answer its guest with a status.</summary>
/// <remarks>A transfer goes on after an interruption or a short count and answers the bytes moved, fewer only at the end of the file;
/// where nothing was moved because of an error, the negated error number. Safe for use from several threads.</remarks>
internal sealed unsafe class HostFile : IDisposable
{
    private const string OpenFiles = "/proc/self/fd";

    private int _fd;

    private HostFile(int fd) => _fd = fd;

    /// <summary>For system calls that are not here; -1 after <see cref="Dispose"/>.</summary>
    internal int Descriptor => _fd;

    /// <summary>Opens a path; null and an error number if the host refuses. Never waits: a FIFO without a writer opens too, so look at <see cref="TryStatus"/>.</summary>
    /// <param name="path">A path; one with a NUL in it is <c>ENOENT</c>.</param>
    /// <param name="flags"><c>Libc.O_*</c>; close-on-exec and non-blocking are added.</param>
    /// <param name="error">Why not.</param>
    /// <param name="mode">Permissions of a file that is created.</param>
    internal static HostFile? TryOpen(string path, int flags, out int error, int mode = 0)
    {
        error = Libc.ENOENT;
        if (path.Contains('\0')) return null;
        int fd = Libc.Open(path, flags | Libc.O_NONBLOCK, mode);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new HostFile(fd);
    }

    /// <summary>Opens a name in an open directory, which thereby cannot be exchanged on the way.</summary>
    internal HostFile? TryOpenAt(string name, int flags, out int error, int mode = 0)
    {
        int fd;
        fixed (byte* p = Libc.Path(name)) fd = Libc.openat(_fd, p, flags | Libc.O_CLOEXEC | Libc.O_NONBLOCK, mode);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new HostFile(fd);
    }

    /// <summary>Takes over an open descriptor, which is closed with this object.</summary>
    internal static HostFile FromDescriptor(int fd) => new(fd);

    /// <summary>Uses a file that is open; the descriptor is duplicated and stays the caller's. Null and the error number if it is not open.</summary>
    internal static HostFile? TryDuplicate(int given, out int error)
    {
        int fd = Libc.fcntl(given, Libc.F_DUPFD_CLOEXEC, Libc.FirstFreeDescriptor);
        error = fd < 0 ? Libc.Errno : 0;
        return fd < 0 ? null : new HostFile(fd);
    }

    /// <summary>Renames inside an open directory, over what was there; 0 or the negated error number.</summary>
    internal int RenameAt(string from, string to)
    {
        fixed (byte* a = Libc.Path(from), b = Libc.Path(to)) return Libc.renameat(_fd, a, _fd, b) == 0 ? 0 : -Libc.Errno;
    }

    /// <summary>Removes a name from an open directory; 0 or the negated error number.</summary>
    internal int UnlinkAt(string name)
    {
        fixed (byte* p = Libc.Path(name)) return Libc.unlinkat(_fd, p, 0) == 0 ? 0 : -Libc.Errno;
    }

    /// <summary>Makes a directory; 0 or the negated error number.</summary>
    internal static int MakeDirectory(string path, int mode)
    {
        fixed (byte* p = Libc.Path(path)) return Libc.mkdir(p, mode) == 0 ? 0 : -Libc.Errno;
    }

    /// <summary>User on whose behalf files are made.</summary>
    internal static uint EffectiveUser => Libc.geteuid();

    /// <summary>What this file is; false and an error number if the host does not say.</summary>
    internal bool TryStatus(out HostFileStatus status, out int error)
    {
        Libc.Stat s;
        status = default;
        error = Libc.fstat(_fd, &s) == 0 ? 0 : Libc.Errno;
        if (error != 0) return false;
        HostFileKind kind = (s.Mode & 0xf000) switch
        {
            0x8000 => HostFileKind.Regular,
            0x4000 => HostFileKind.Directory,
            0x6000 => HostFileKind.BlockDevice,
            0x2000 => HostFileKind.CharacterDevice,
            0x1000 => HostFileKind.Fifo,
            0xc000 => HostFileKind.Socket,
            _ => HostFileKind.Other,
        };
        long size = kind == HostFileKind.BlockDevice ? Libc.lseek(_fd, 0, Libc.SEEK_END) : s.Size;
        status = new HostFileStatus(kind, (ulong)Math.Max(size, 0), s.Device, s.Inode, s.Owner, s.Mode & 0xfff,
            Nanoseconds(s.ModifySeconds, s.ModifyNanoseconds), Nanoseconds(s.ChangeSeconds, s.ChangeNanoseconds));
        return true;
    }

    /// <summary>What blocks it has; of a regular file those of its file system, in sectors of 512 bytes. Changes
    /// nothing.</summary>
    internal HostBlockSizes BlockSizes(HostFileKind kind)
    {
        const nuint LogicalSize = 0x1268, PhysicalSize = 0x127b, OptimalSize = 0x1279;   // linux/fs.h: BLKSSZGET, BLKPBSZGET, BLKIOOPT
        uint logical = 512, physical = 512, optimal = 0, freed = 0;
        Libc.Stat s;
        if (Libc.fstat(_fd, &s) != 0) return new HostBlockSizes(logical, physical, optimal, freed);
        if (kind == HostFileKind.BlockDevice)
        {
            freed = HostBlockQueue.DiscardGranularity(s.SpecialDevice);
            _ = Libc.ioctl(_fd, LogicalSize, &logical);
            _ = Libc.ioctl(_fd, PhysicalSize, &physical);
            _ = Libc.ioctl(_fd, OptimalSize, &optimal);
        }
        else
        {
            physical = (uint)Math.Clamp(s.BlockSize, 512, 4096);
            // Behind the end, where there is nothing to lose. A file that is open for reading only gives nothing back.
            const int PunchHole = Libc.FALLOC_FL_KEEP_SIZE | Libc.FALLOC_FL_PUNCH_HOLE;
            if (Libc.fallocate(_fd, PunchHole, (s.Size + 511) & ~511L, 512) == 0) freed = physical;
        }
        bool powers = System.Numerics.BitOperations.IsPow2(logical) && System.Numerics.BitOperations.IsPow2(physical);
        if (!powers || logical < 512 || physical < logical) (logical, physical, optimal) = (512, 512, 0);
        // Some drivers name a granularity that is no multiple of their blocks.
        if (freed % physical != 0) freed = physical;
        return new HostBlockSizes(logical, physical, optimal, freed);
    }

    /// <summary>A block device whose driver refuses writes, although it could be opened for them.</summary>
    internal bool IsReadOnlyDevice()
    {
        const nuint GetReadOnly = 0x125e;   // linux/fs.h: BLKROGET
        int readOnly = 0;
        return Libc.ioctl(_fd, GetReadOnly, &readOnly) == 0 && readOnly != 0;
    }

    /// <summary>Reads at an offset.</summary>
    internal long Read(Span<byte> into, ulong offset)
    {
        fixed (byte* p = into) return Read(p, (ulong)into.Length, offset);
    }

    /// <summary>Reads at an offset into guest memory.</summary>
    internal long Read(HostRange into, ulong offset) => Read(into.Address, into.Length, offset);

    /// <summary>Writes at an offset.</summary>
    internal long Write(ReadOnlySpan<byte> from, ulong offset)
    {
        fixed (byte* p = from) return Write(p, (ulong)from.Length, offset);
    }

    /// <summary>Writes at an offset out of guest memory.</summary>
    internal long Write(HostRange from, ulong offset) => Write(from.Address, from.Length, offset);

    /// <summary>One step of a transfer between the file and what is left of a row: the bytes moved, perhaps fewer than there are, 0 at the end of the file, or the negated error number.</summary>
    internal long Transfer(TransferVectors vectors, int row, bool write, ulong offset, int flags)
    {
        Libc.IoVec* v = vectors.Rest(row, out int count);
        nint n = write ? Libc.pwritev2(_fd, v, count, (long)offset, flags) : Libc.preadv(_fd, v, count, (long)offset);
        return n < 0 ? -Libc.Errno : n;
    }

    /// <summary>Changes what of the file takes space (<c>Libc.FALLOC_*</c>); 0 or the negated error number.</summary>
    internal int Allocate(int mode, ulong offset, ulong length) => Libc.fallocate(_fd, mode, (long)offset, (long)length) == 0 ? 0 : -Libc.Errno;

    /// <summary>Makes what was written durable; 0 or the negated error number.</summary>
    internal int Flush()
    {
        while (Libc.fdatasync(_fd) != 0)
        {
            int error = Libc.Errno;
            if (error != Libc.EINTR) return -error;
        }
        return 0;
    }

    /// <summary>Where the first hole from an offset on begins; the end of the file if it has none or the host does not know.</summary>
    internal ulong FirstHole(ulong offset)
    {
        long at = Libc.lseek(_fd, (long)offset, Libc.SEEK_HOLE);
        return at < 0 ? ulong.MaxValue : (ulong)at;
    }

    /// <summary>Cuts or extends the file; 0 or the negated error number.</summary>
    internal int Truncate(ulong length) => Libc.ftruncate(_fd, (long)length) == 0 ? 0 : -Libc.Errno;

    /// <summary>Takes (<c>Libc.LOCK_*</c>) an advisory lock without waiting; false if somebody else has it.</summary>
    internal bool TryLock(bool exclusive) => Libc.flock(_fd, (exclusive ? Libc.LOCK_EX : Libc.LOCK_SH) | Libc.LOCK_NB) == 0;

    /// <summary>The path by which this process has the same file open a second time, or null.</summary>
    internal string? OtherName(in HostFileStatus status)
    {
        foreach (string name in Directory.GetFileSystemEntries(OpenFiles))
        {
            Libc.Stat s;
            if (!int.TryParse(System.IO.Path.GetFileName(name), out int fd) || fd == _fd || Libc.fstat(fd, &s) != 0)
                continue;
            if (s.Device == status.Device && s.Inode == status.Inode) return new FileInfo(name).LinkTarget;
        }
        return null;
    }

    /// <summary>Gives the advisory lock back.</summary>
    internal void Unlock() => _ = Libc.flock(_fd, Libc.LOCK_UN);

    /// <summary>Closes the file. Not while another thread uses it.</summary>
    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd >= 0) _ = Libc.close(fd);
    }

    private long Read(byte* into, ulong length, ulong offset)
    {
        // SAFETY: a buffer of at least `length` bytes, from a pinned span or a checked range.
        ulong done = 0;
        while (done < length)
        {
            nint n = Libc.pread(_fd, into + done, Chunk(length - done), (long)(offset + done));
            if (n < 0 && Libc.Errno is int error && error != Libc.EINTR) return done == 0 ? -error : (long)done;
            if (n == 0) break;
            if (n > 0) done += (ulong)n;
        }
        return (long)done;
    }

    private long Write(byte* from, ulong length, ulong offset)
    {
        // SAFETY: as in Read.
        ulong done = 0;
        while (done < length)
        {
            nint n = Libc.pwrite(_fd, from + done, Chunk(length - done), (long)(offset + done));
            if (n < 0 && Libc.Errno is int error && error != Libc.EINTR) return done == 0 ? -error : (long)done;
            if (n == 0) break;
            if (n > 0) done += (ulong)n;
        }
        return (long)done;
    }

    // Linux moves at most 0x7ffff000 bytes in one call.
    private static nint Chunk(ulong length) => (nint)Math.Min(length, 0x7fff_f000);

    // Wraps outside the years 1677 to 2262, which only makes a key of the cache a different one.
    private static long Nanoseconds(long seconds, long nanoseconds) => unchecked(seconds * 1_000_000_000 + nanoseconds);
}
