using System.Runtime.CompilerServices;
using static MicroVm.Kvm.IoUringAbi;

namespace MicroVm.Kvm;

/// <summary>An io_uring of Linux for one file: requests go to the kernel many at a time, and come back in any order, with an event that can be silenced while somebody looks anyway.</summary>
/// <remarks>One thread uses it: where the kernel can (6.1), what is left to do of a completion then runs on that thread and when it asks, without an interruption.
/// The caller has at most as many requests under way as the ring has entries, so that neither ring runs over.</remarks>
internal sealed unsafe class IoUring : IDisposable
{
    private const uint Needed = FeatureSingleMap | FeatureNoDrop | FeatureSubmitStable | FeaturePoll32;

    private readonly int _fd, _file;
    private readonly nuint _ringBytes, _entryBytes;
    private readonly byte* _ring;
    private readonly Submission* _entries;
    private readonly Completion* _completions;
    private readonly uint* _submitTail, _submitFlags, _completeHead, _completeTail, _completeFlags;
    private readonly uint _submitMask, _completeMask;
    private uint _tail, _waiting;

    private IoUring(int fd, int file, in Parameters p, byte* ring, nuint ringBytes, byte* entries, nuint entryBytes)
    {
        (_fd, _file, _ringBytes, _entryBytes) = (fd, file, ringBytes, entryBytes);
        _ring = ring;
        _entries = (Submission*)entries;
        _completions = (Completion*)(ring + p.Complete.Entry);
        _submitTail = (uint*)(ring + p.Submit.Tail);
        _submitFlags = (uint*)(ring + p.Submit.Flags);
        _completeHead = (uint*)(ring + p.Complete.Head);
        _completeTail = (uint*)(ring + p.Complete.Tail);
        _completeFlags = (uint*)(ring + p.Complete.Flags);
        _submitMask = *(uint*)(ring + p.Submit.Mask);
        _completeMask = *(uint*)(ring + p.Complete.Mask);
        // Entry i always stands in place i.
        uint* array = (uint*)(ring + p.Submit.Array);
        for (uint i = 0; i <= _submitMask; i++) array[i] = i;
    }

    /// <summary>Makes a ring for the calling thread; null and an error number if the host has none to give or is too old (before Linux 5.9).</summary>
    /// <param name="entries">Most requests under way, a power of two.</param>
    /// <param name="file">What is read and written.</param>
    /// <param name="completed">Signalled for completions, unless silenced.</param>
    /// <param name="error">Why not.</param>
    internal static IoUring? TryOpen(uint entries, HostFile file, Events.EventFd completed, out int error)
    {
        Parameters p = new() { Flags = SetupSingleIssuer | SetupDeferTaskRun | SetupTaskRunFlag | SetupSubmitAll };
        int fd = Setup(entries, ref p, out error);
        if (error == Libc.EINVAL)
        {
            p = default;
            fd = Setup(entries, ref p, out error);
        }
        if (fd < 0) return null;
        error = (p.Features & Needed) == Needed ? 0 : Libc.ENOSYS;
        IoUring? ring = error == 0 ? Map(fd, file.Descriptor, p, out error) : null;
        if (ring is null)
        {
            _ = Libc.close(fd);
            return null;
        }
        int descriptor = completed.Fd;
        error = Libc.syscall(RegisterCall, fd, RegisterEvent, (nint)(&descriptor), 1, 0, 0) < 0 ? Libc.Errno : 0;
        if (error == 0) return ring;
        ring.Dispose();
        return null;
    }

    /// <summary>Why the host gives no ring, as an error number; 0 if it does.</summary>
    internal static int WhyNot()
    {
        Parameters p = default;
        int fd = Setup(1, ref p, out int error);
        if (fd < 0) return error;
        _ = Libc.close(fd);
        return (p.Features & Needed) == Needed ? 0 : Libc.ENOSYS;
    }

    /// <summary>Puts a transfer of one buffer or several in line. With <paramref name="wait"/> a thread of the kernel waits for the device. The row may be changed after <see cref="Submit"/>.</summary>
    internal void Transfer(ulong id, TransferVectors vectors, int row, bool write, ulong offset, int flags, bool wait)
    {
        Libc.IoVec* vector = vectors.Rest(row, out int count);
        ref Submission s = ref Next(id);
        s.Offset = offset;
        s.OperationFlags = (uint)flags;
        if (wait) s.Flags = MayBlock;
        if (count == 1)
        {
            s.Operation = write ? OpWrite : OpRead;
            s.Address = (ulong)vector->Base;
            s.Length = (uint)vector->Length;
            return;
        }
        s.Operation = write ? OpWriteVector : OpReadVector;
        s.Address = (ulong)vector;
        s.Length = (uint)count;
    }

    /// <summary>Puts an fdatasync in line.</summary>
    internal void Synchronize(ulong id)
    {
        ref Submission s = ref Next(id);
        s.Operation = OpSync;
        s.OperationFlags = SyncDataOnly;
    }

    /// <summary>Puts a fallocate in line.</summary>
    internal void Allocate(ulong id, int mode, ulong offset, ulong length)
    {
        ref Submission s = ref Next(id);
        s.Operation = OpAllocate;
        s.Offset = offset;
        s.Address = length;
        s.Length = (uint)mode;
    }

    /// <summary>Takes back all that has not begun, as far as the kernel can (5.19): it then ends with an error. Nothing is in line before it.</summary>
    internal void Cancel()
    {
        ref Submission s = ref Next(0);
        s.Operation = OpCancel;
        s.OperationFlags = CancelAll | CancelAny;
    }

    /// <summary>Gives the kernel all that is in line, in one call, and lets it finish what it has done; nothing happens where there is nothing to do.</summary>
    internal void Submit()
    {
        uint flags = Volatile.Read(ref *_submitFlags) & (SubmitTaskRun | SubmitOverflow);
        if (_waiting != 0 || flags != 0) Enter(0, flags != 0 ? EnterGetEvents : 0);
    }

    /// <summary>Waits for a completion.</summary>
    internal void Wait() => Enter(1, EnterGetEvents);

    /// <summary>Takes a completion; false if there is none.</summary>
    internal bool TryTake(out ulong id, out int result)
    {
        uint head = *_completeHead;
        (id, result) = (0, 0);
        if (head == Volatile.Read(ref *_completeTail)) return false;
        Completion* c = _completions + (head & _completeMask);
        (id, result) = (c->UserData, c->Result);
        Volatile.Write(ref *_completeHead, head + 1);
        return true;
    }

    /// <summary>No event for completions from now on.</summary>
    internal void Silence() => Volatile.Write(ref *_completeFlags, CompletionEventDisabled);

    /// <summary>An event for each completion from now on; true if there is one already, for which none may come.</summary>
    internal bool Listen()
    {
        Volatile.Write(ref *_completeFlags, 0);
        // The wish must be visible before the rings are read: the kernel does it the other way round.
        Interlocked.MemoryBarrier();
        return *_completeHead != Volatile.Read(ref *_completeTail) || (Volatile.Read(ref *_submitFlags) & (SubmitTaskRun | SubmitOverflow)) != 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = Libc.munmap(_entries, _entryBytes);
        _ = Libc.munmap(_ring, _ringBytes);
        _ = Libc.close(_fd);
    }

    private ref Submission Next(ulong id)
    {
        // The file is not registered with the ring, which would hold it, and its lock, for a while after both are closed.
        // SAFETY: the mask keeps it inside the mapped array; the caller has no more requests under way than there are entries.
        ref Submission s = ref _entries[_tail & _submitMask];
        s = new Submission { File = _file, UserData = id };
        _tail++;
        _waiting++;
        return ref s;
    }

    private void Enter(uint wanted, uint flags)
    {
        Volatile.Write(ref *_submitTail, _tail);
        do
        {
            nint n = Libc.syscall(EnterCall, _fd, (nint)_waiting, (nint)wanted, (nint)flags, 0, 0);
            if (n >= 0) _waiting -= (uint)n;
            // The kernel has no memory for requests just now; nothing is lost, for what is in line stays there.
            else if (Libc.Errno is Libc.EAGAIN or Libc.EBUSY or Libc.ENOMEM) Thread.Sleep(1);
            else if (Libc.Errno != Libc.EINTR) throw new InvalidOperationException($"io_uring_enter: {Libc.Describe(Libc.Errno)}");
        }
        while (_waiting != 0);
    }

    private static int Setup(uint entries, ref Parameters p, out int error)
    {
        fixed (Parameters* q = &p)
        {
            int fd = (int)Libc.syscall(SetupCall, (nint)entries, (nint)q, 0, 0, 0, 0);
            error = fd < 0 ? Libc.Errno : 0;
            return fd;
        }
    }

    // SAFETY: both mappings have the sizes that the kernel's offsets say, and live as long as the object.
    private static IoUring? Map(int fd, int file, in Parameters p, out int error)
    {
        nuint ringBytes = Math.Max(p.Submit.Array + p.SubmitEntries * sizeof(uint), p.Complete.Entry + p.CompleteEntries * (uint)sizeof(Completion));
        nuint entryBytes = p.SubmitEntries * (nuint)sizeof(Submission);
        const int Protection = Libc.PROT_READ | Libc.PROT_WRITE, Flags = Libc.MAP_SHARED | Libc.MAP_POPULATE;
        void* ring = Libc.mmap(null, ringBytes, Protection, Flags, fd, 0);
        error = ring == Libc.MapFailed ? Libc.Errno : 0;
        if (error != 0) return null;
        void* entries = Libc.mmap(null, entryBytes, Protection, Flags, fd, SubmitEntriesOffset);
        error = entries == Libc.MapFailed ? Libc.Errno : 0;
        if (error == 0) return new IoUring(fd, file, p, (byte*)ring, ringBytes, (byte*)entries, entryBytes);
        _ = Libc.munmap(ring, ringBytes);
        return null;
    }
}
