using System.Text;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>A raw image: a file or a block device of the host, locked against other users for as long as it is open.</summary>
public sealed class FileBackend : IDisposable
{
    private readonly bool _fixedSize;
    private ulong _sectors;

    /// <summary>Takes over an open file; <paramref name="path"/> is for messages.</summary>
    internal FileBackend(HostFile file, in HostFileStatus status, string path, bool readOnly, string? serial)
    {
        File = file;
        Path = path;
        _fixedSize = status.Kind == HostFileKind.BlockDevice;
        ReadOnly = readOnly;
        Blocks = file.BlockSizes(status.Kind);
        _sectors = Whole(status.Size);
        IgnoredBytes = status.Size - _sectors * VirtioBlockConst.SectorSize;
        Serial = new byte[VirtioBlockConst.IdLength];
        string id = serial ?? $"{status.Device:x}-{status.Inode:x}";
        Encoding.ASCII.GetBytes(id.AsSpan(0, Math.Min(id.Length, Serial.Length)), Serial);
    }

    /// <summary>The open image.</summary>
    internal HostFile File { get; }

    /// <summary>Where it was opened.</summary>
    public string Path { get; }

    /// <summary>Opened for reading only: no write reaches the file whatever the driver negotiated.</summary>
    public bool ReadOnly { get; }

    /// <summary>Capacity in sectors of 512 bytes. The guest never makes it grow; <see cref="Resize"/> does.</summary>
    public ulong Sectors => Volatile.Read(ref _sectors);

    /// <summary>Bytes after the last whole block when it was opened, which the guest does not see. Worth a word to the user if not 0.</summary>
    public ulong IgnoredBytes { get; }

    /// <summary>Space can be given back to the host.</summary>
    internal bool CanDiscard => !ReadOnly && Blocks.Freed != 0;

    /// <summary>What the host knows of blocks, in bytes.</summary>
    internal HostBlockSizes Blocks { get; }

    internal byte[] Serial { get; }

    /// <summary>Opens and locks an image.</summary>
    /// <param name="path">A regular file or a block device.</param>
    /// <param name="readOnly">Nobody may write it; several may have it open.</param>
    /// <param name="serial">Up to 20 ASCII characters that the guest can read, or null for one made of the file's identity.</param>
    /// <exception cref="MicroVmException">It is missing, of another kind, smaller than a sector, not permitted, or in use by another.</exception>
    public static FileBackend Open(string path, bool readOnly, string? serial = null)
    {
        HostFile file = HostFile.TryOpen(path, readOnly ? Libc.O_RDONLY : Libc.O_RDWR, out int error)
            ?? throw CannotOpen(path, error, readOnly);
        try
        {
            return new FileBackend(file, Check(file, path, readOnly), path, readOnly, serial);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether a transfer lies within the capacity. No sum in it can overflow.</summary>
    internal bool Contains(ulong sector, ulong sectors) => Sectors is var all && sector <= all && sectors <= all - sector;

    /// <summary>Bytes that the file has at this moment: fewer than the capacity if somebody cut it short.</summary>
    internal ulong PresentEnd() => _fixedSize ? ulong.MaxValue : File.TryStatus(out HostFileStatus status, out _) ? status.Size : 0;

    /// <summary>Makes the image longer, or takes over the size that it was given from outside.</summary>
    /// <param name="bytes">The new size; null for the one that the file has now.</param>
    /// <exception cref="MicroVmException">It would become smaller, or the host refused.</exception>
    public void Resize(ulong? bytes)
    {
        if (!File.TryStatus(out HostFileStatus status, out int error)) throw MicroVmException.Refused(FailureKind.Image, "cannot examine the disk image", Path, error, "See whether it is still there");
        ulong wanted = bytes ?? status.Size, now = Sectors * VirtioBlockConst.SectorSize;
        if (Whole(wanted) < Sectors) throw MicroVmException.Usage("a disk cannot become smaller while it is in use", $"{Path}: {wanted} bytes, now {now}", "Give a larger size, or none to take over the file's");
        if (wanted > status.Size)
        {
            if (ReadOnly) throw MicroVmException.Usage("a read-only disk is not made larger", Path, "Make the file larger yourself, then resize without a size");
            int result = _fixedSize ? -Libc.EINVAL : File.Truncate(wanted);
            if (result < 0) throw MicroVmException.Refused(FailureKind.Image, "cannot make the disk image larger", Path, -result, _fixedSize ? "Make the block device larger, then resize without a size" : "Free space on its file system");
        }
        Volatile.Write(ref _sectors, Whole(wanted));
    }

    /// <inheritdoc/>
    public void Dispose() => File.Dispose();

    private ulong Whole(ulong bytes) => bytes / Blocks.Logical * (Blocks.Logical / VirtioBlockConst.SectorSize);

    private static HostFileStatus Check(HostFile file, string path, bool readOnly)
    {
        if (!file.TryStatus(out HostFileStatus status, out int error))
            throw MicroVmException.Image("cannot examine the disk image", $"{path}: {Libc.Describe(error)}", "Give a regular file or a block device");
        if (status.Kind is not (HostFileKind.Regular or HostFileKind.BlockDevice))
            throw MicroVmException.Image("cannot use the disk image", $"{path}: it is a {Word(status.Kind)}", "Give a regular file or a block device");
        if (status is { Size: 0, Kind: HostFileKind.Regular })
            throw MicroVmException.Image("cannot use the disk image", $"{path}: it is empty",
                "Make it larger (truncate -s 1G), or start with --pci-ports 1 and plug it in later: microvm ctl NAME add --disk FILE");
        if (status.Size < VirtioBlockConst.SectorSize)
            throw MicroVmException.Image("cannot use the disk image", $"{path}: it has {status.Size} bytes", "Make it larger (truncate -s 1G)");
        if (!readOnly && status.Kind == HostFileKind.BlockDevice && file.IsReadOnlyDevice()) throw CannotOpen(path, Libc.EROFS, readOnly);
        DiskFormat.RequireRaw(file, path);
        if (file.TryLock(exclusive: !readOnly)) return status;
        if (file.OtherName(status) is { } other)
            throw MicroVmException.Usage("the same disk image twice", $"{path}: this process has it open as {other}",
            "Remove one of the two, or use ro with both");
        throw MicroVmException.Image("cannot lock the disk image", $"{path}: another process uses it",
                readOnly ? "Stop the one that writes it"
                    : "Stop the other one, or use the disk read-only (,ro) in all");
    }

    private static string Word(HostFileKind kind) => kind switch
    {
        HostFileKind.Directory => "directory",
        HostFileKind.CharacterDevice => "character device",
        HostFileKind.Fifo => "pipe",
        _ => "thing without sectors",
    };

    private static MicroVmException CannotOpen(string path, int error, bool readOnly) => MicroVmException.Refused(FailureKind.Image, "cannot open the disk image", path, error, error switch
    {
        Libc.EISDIR => "Give a regular file or a block device",
        Libc.EACCES or Libc.EPERM or Libc.EROFS when !readOnly => "Give yourself write permission, or add ,ro to the disk",
        _ => "Check the path and its permissions",
    });
}
