using System.Text;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>A raw image: a file or a block device of the host, locked against other users for as long as it is open.</summary>
public sealed class FileBackend : IDisposable
{
    private readonly HostFile _file;
    private readonly bool _fixedSize;

    private FileBackend(HostFile file, in HostFileStatus status, bool readOnly, string? serial)
    {
        _file = file;
        _fixedSize = status.Kind == HostFileKind.BlockDevice;
        ReadOnly = readOnly;
        Sectors = status.Size / VirtioBlockConst.SectorSize;
        IgnoredBytes = status.Size % VirtioBlockConst.SectorSize;
        Serial = new byte[VirtioBlockConst.IdLength];
        string id = serial ?? $"{status.Device:x}-{status.Inode:x}";
        Encoding.ASCII.GetBytes(id.AsSpan(0, Math.Min(id.Length, Serial.Length)), Serial);
    }

    /// <summary>Opened for reading only: no write reaches the file whatever the driver negotiated.</summary>
    public bool ReadOnly { get; }

    /// <summary>Capacity in sectors of 512 bytes, as it was when the image was opened; the guest never makes it grow.</summary>
    public ulong Sectors { get; }

    /// <summary>Bytes after the last whole sector, which the guest does not see. Worth a word to the user if not 0.</summary>
    public ulong IgnoredBytes { get; }

    internal byte[] Serial { get; }

    /// <summary>Opens and locks an image.</summary>
    /// <param name="path">A regular file or a block device.</param>
    /// <param name="readOnly">Nobody may write it; several may have it open.</param>
    /// <param name="serial">Up to 20 ASCII characters that the guest can read, or null for one made of the file's identity.</param>
    /// <exception cref="MicroVmException">It is missing, of another kind, smaller than a sector, not permitted, or in use by another.</exception>
    public static FileBackend Open(string path, bool readOnly, string? serial = null)
    {
        HostFile file = HostFile.TryOpen(path, readOnly ? Libc.O_RDONLY : Libc.O_RDWR, out int error)
            ?? throw MicroVmException.Refused(FailureKind.Image, "cannot open the disk image", path, error, Remedy(error, readOnly));
        try
        {
            return new FileBackend(file, Check(file, path, readOnly), readOnly, serial);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether a transfer lies within the capacity. No sum in it can overflow.</summary>
    internal bool Contains(ulong sector, ulong sectors) => sector <= Sectors && sectors <= Sectors - sector;

    /// <summary>Reads whole sectors; false if the host failed or the file was cut short meanwhile.</summary>
    internal bool Read(IoVectors into, ulong sector, ulong length) =>
        into.Read(_file, sector * VirtioBlockConst.SectorSize) == (long)length;

    /// <summary>Writes whole sectors; false if the host failed or the file was cut short meanwhile: it never grows again by a guest's write.</summary>
    internal bool Write(IoVectors from, ulong sector, ulong length)
    {
        ulong offset = sector * VirtioBlockConst.SectorSize;
        if (ReadOnly) return false;
        if (!_fixedSize && (!_file.TryStatus(out HostFileStatus status, out _) || status.Size < offset + length)) return false;
        return from.Write(_file, offset) == (long)length;
    }

    /// <summary>Makes all that was written durable.</summary>
    internal bool Flush() => !ReadOnly && _file.Flush() == 0;

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static HostFileStatus Check(HostFile file, string path, bool readOnly)
    {
        if (!file.TryStatus(out HostFileStatus status, out int error))
            throw MicroVmException.Image("cannot examine the disk image", $"{path}: {Libc.Describe(error)}", "Give a regular file or a block device");
        if (status.Kind is not (HostFileKind.Regular or HostFileKind.BlockDevice))
            throw MicroVmException.Image("cannot use the disk image", $"{path}: it is a {Word(status.Kind)}", "Give a regular file or a block device");
        if (status.Size < VirtioBlockConst.SectorSize)
            throw MicroVmException.Image("cannot use the disk image", $"{path}: it has {status.Size} bytes", "Make it larger (truncate -s 1G)");
        if (!file.TryLock(exclusive: !readOnly))
            throw MicroVmException.Image("cannot lock the disk image", $"{path}: another process uses it",
                readOnly ? "Stop the one that writes it" : "Stop the other one, or give the disk read-only (,ro) to all");
        return status;
    }

    private static string Word(HostFileKind kind) => kind switch
    {
        HostFileKind.Directory => "directory",
        HostFileKind.CharacterDevice => "character device",
        HostFileKind.Fifo => "pipe",
        _ => "thing without sectors",
    };

    private static string Remedy(int error, bool readOnly) => error switch
    {
        Libc.EISDIR => "Give a regular file or a block device",
        Libc.EACCES or Libc.EPERM or Libc.EROFS when !readOnly => "Give yourself write permission, or add ,ro to the disk",
        _ => "Check the path and its permissions",
    };
}
