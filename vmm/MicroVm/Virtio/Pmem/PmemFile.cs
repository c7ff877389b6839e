using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Memory;

namespace MicroVm.Virtio.Pmem;

/// <summary>A file that the guest has as memory: mapped shared, so that what the guest writes is the file's; with read-only the file is never written.</summary>
/// <remarks>It is locked against other users that lock. One that is cut short all the same, or whose disk fails, costs the guest the pages that are gone, which read as zeros from then on, and no flush succeeds any more; the machine goes on (docs/decisions/0092).</remarks>
internal sealed class PmemFile : IDisposable
{
    private readonly HostFile _file;
    private readonly string _path;
    private readonly Action<string>? _warn;
    private GuestMemory? _memory;
    private MemoryRegion _region;
    private int _lost;

    private PmemFile(HostFile file, string path, ulong length, bool readOnly, Action<string>? warn) => (_file, _path, Length, ReadOnly, _warn) = (file, path, length, readOnly, warn);

    /// <summary>Bytes, as they were when the file was opened.</summary>
    internal ulong Length { get; }

    /// <summary>Guest address, once it has one.</summary>
    internal ulong Start { get; private set; }

    internal bool ReadOnly { get; }

    /// <summary>A part of it is gone.</summary>
    internal bool IsLost => Volatile.Read(ref _lost) != 0;

    internal string Path => _path;

    internal int Descriptor => _file.Descriptor;

    /// <summary>Opens and locks a file.</summary>
    /// <exception cref="MicroVmException">It cannot be opened, is no regular file, has no whole pieces of 2 MiB, or another uses it.</exception>
    internal static PmemFile Open(string path, bool readOnly, Action<string>? warn = null)
    {
        HostFile file = HostFile.TryOpen(path, readOnly ? Libc.O_RDONLY : Libc.O_RDWR, out int error)
            ?? throw MicroVmException.Refused(FailureKind.Image, "cannot open the file for the guest's memory", path, error, "Check the path and its permissions");
        try
        {
            return new PmemFile(file, path, Check(file, path, readOnly), readOnly, warn);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Takes a place in guest memory.</summary>
    internal void Place(GuestMemory memory)
    {
        _memory = memory;
        Start = memory.Place(Length, VirtioPmemConst.Alignment);
    }

    /// <summary>Gives it to the guest.</summary>
    internal void Provide()
    {
        _region = _memory!.AddFile(Start, Length, _file.Descriptor, ReadOnly);
        BusErrors.Watch(_region);
    }

    /// <summary>Makes what the guest wrote durable; false if the host failed, or if a part of it is gone.</summary>
    internal bool Flush() => !LookForLoss() && (ReadOnly || _file.Flush() == 0);

    /// <summary>After a fault: puts zeros where the file has ended meanwhile, so that the guest can go on. True if that was the reason.</summary>
    internal bool Mend()
    {
        bool known = IsLost;
        if (!LookForLoss()) return false;
        // A file that is cut a second time is mended a second time; nothing else is repaired twice.
        return _memory!.ReplaceTail(_region, Intact) || !known;
    }

    private ulong Intact => _file.TryStatus(out HostFileStatus status, out _) ? Math.Min((status.Size + GuestMemory.PageSize - 1) & ~(GuestMemory.PageSize - 1), Length) : 0;

    private bool LookForLoss()
    {
        if (_file.TryStatus(out HostFileStatus status, out _) && status.Size >= Length && !BusErrors.Hit(_region)) return IsLost;
        if (Interlocked.Exchange(ref _lost, 1) == 0) _warn?.Invoke($"microvm: error: a part of the guest's persistent memory is gone, {_path}: the file was cut short or its disk failed. Shut the guest down and look at the file.\n");
        return true;
    }

    private static ulong Check(HostFile file, string path, bool readOnly)
    {
        if (!file.TryStatus(out HostFileStatus status, out int error)) throw MicroVmException.Refused(FailureKind.Image, "cannot examine the file for the guest's memory", path, error, "Give a regular file");
        if (status.Kind != HostFileKind.Regular) throw MicroVmException.Image("cannot use the file for the guest's memory", $"{path}: it is no regular file", "Give a regular file");
        if (status.Size == 0 || status.Size % VirtioPmemConst.Alignment != 0) throw MicroVmException.Image("cannot use the file for the guest's memory", $"{path}: it has {status.Size} bytes", "Make it a multiple of 2 MiB (truncate -s %2M)");
        if (file.TryLock(exclusive: !readOnly)) return status.Size;
        if (file.OtherName(status) is { } other)
            throw MicroVmException.Usage("the same file twice", $"{path}: this process has it open as {other}",
            "Remove one of the two, or use ro with both");
        throw MicroVmException.Image("cannot lock the file for the guest's memory", $"{path}: another process uses it",
            "Stop the other one, or use the file read-only (,ro) in all");
    }

    public void Dispose()
    {
        BusErrors.Forget(_region);
        _file.Dispose();
    }
}
