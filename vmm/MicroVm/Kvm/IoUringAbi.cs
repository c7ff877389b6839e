using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Numbers and structures of <c>linux/io_uring.h</c>, as far as disks need them.</summary>
internal static class IoUringAbi
{
    internal const nint SetupCall = 425, EnterCall = 426, RegisterCall = 427;

    internal const uint SetupSubmitAll = 1 << 7, SetupTaskRunFlag = 1 << 9, SetupSingleIssuer = 1 << 12, SetupDeferTaskRun = 1 << 13;
    /// <summary>Of Linux 5.9 at the latest, which also has all operations below and lets the event be silenced.</summary>
    internal const uint FeatureSingleMap = 1 << 0, FeatureNoDrop = 1 << 1, FeatureSubmitStable = 1 << 2, FeaturePoll32 = 1 << 6;
    internal const uint EnterGetEvents = 1;
    internal const uint SubmitOverflow = 1 << 1, SubmitTaskRun = 1 << 2;
    internal const uint CompletionEventDisabled = 1;
    internal const nint RegisterEvent = 4;
    internal const long SubmitEntriesOffset = 0x1000_0000;

    internal const byte OpReadVector = 1, OpWriteVector = 2, OpSync = 3, OpCancel = 14, OpAllocate = 17, OpRead = 22, OpWrite = 23;
    internal const byte MayBlock = 1 << 4;   // IOSQE_ASYNC
    internal const uint SyncDataOnly = 1;
    internal const uint CancelAll = 1, CancelAny = 4;

    /// <summary><c>struct io_uring_sqe</c>.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    internal struct Submission
    {
        [FieldOffset(0)] internal byte Operation;
        [FieldOffset(1)] internal byte Flags;
        [FieldOffset(4)] internal int File;
        [FieldOffset(8)] internal ulong Offset;
        [FieldOffset(16)] internal ulong Address;
        [FieldOffset(24)] internal uint Length;
        [FieldOffset(28)] internal uint OperationFlags;
        [FieldOffset(32)] internal ulong UserData;
    }

    /// <summary><c>struct io_uring_cqe</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Completion
    {
        internal ulong UserData;
        internal int Result;
        internal uint Flags;
    }

    /// <summary><c>struct io_uring_params</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
    {
        internal uint SubmitEntries, CompleteEntries, Flags, SubmitThreadCpu, SubmitThreadIdle, Features, WorkQueueFd;
        internal uint Reserved0, Reserved1, Reserved2;
        internal SubmitOffsets Submit;
        internal CompleteOffsets Complete;
    }

    /// <summary><c>struct io_sqring_offsets</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SubmitOffsets
    {
        internal uint Head, Tail, Mask, Entries, Flags, Dropped, Array, Reserved;
        internal ulong UserAddress;
    }

    /// <summary><c>struct io_cqring_offsets</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct CompleteOffsets
    {
        internal uint Head, Tail, Mask, Entries, Overflow, Entry, Flags, Reserved;
        internal ulong UserAddress;
    }
}
