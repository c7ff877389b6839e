using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>The C library as this program calls it. Blittable arguments only, so that NativeAOT binds each call directly.</summary>
/// <remarks>Never <c>SuppressGCTransition</c> here: most of these can block, and a blocked thread would hold up the collector.</remarks>
internal static unsafe partial class Libc
{
    internal const int EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, E2BIG = 7, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17,
        ENODEV = 19, EISDIR = 21, EINVAL = 22, EMFILE = 24, ENFILE = 23, EFBIG = 27, ENOSPC = 28, ENOSYS = 38,
        EMSGSIZE = 90, EOPNOTSUPP = 95, EROFS = 30, EPIPE = 32, EBADFD = 77, EBADF = 9, ECONNABORTED = 103,
        ECONNRESET = 104, ENOTCONN = 107, EADDRINUSE = 98, ECONNREFUSED = 111, EDQUOT = 122, EHWPOISON = 133,
            ELOOP = 40;

    internal const int O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_TRUNC = 0x200, O_APPEND = 0x400, O_NONBLOCK = 0x800, O_DIRECTORY = 0x10000, O_NOFOLLOW = 0x20000, O_CLOEXEC = 0x80000, O_PATH = 0x200000;
    internal const int RWF_DSYNC = 2, FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2, FALLOC_FL_ZERO_RANGE = 0x10;
    internal const int SEEK_SET = 0, SEEK_END = 2, SEEK_HOLE = 4;
    internal const int PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
    internal const int MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000, MAP_POPULATE = 0x8000;
    internal const int MADV_HUGEPAGE = 14, MADV_DONTDUMP = 16, MADV_DONTNEED = 4, MADV_REMOVE = 9;
    internal const int EFD_CLOEXEC = 0x80000, EFD_NONBLOCK = 0x800;
    internal const uint MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2;
    internal const int F_DUPFD_CLOEXEC = 1030, FirstFreeDescriptor = 3;
    internal const int F_ADD_SEALS = 1033, F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4;
    internal const int EPOLL_CLOEXEC = 0x80000, EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3;
    internal const uint EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 0x10, EPOLLET = 1u << 31;
    internal const int SIG_BLOCK = 0, SIG_UNBLOCK = 1;
    internal const int LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8;
    internal static readonly void* MapFailed = (void*)-1;

    /// <summary>Error number of the last failed call of this thread; read it before anything else runs.</summary>
    internal static int Errno => Marshal.GetLastSystemError();

    [DllImport("libc")] internal static extern int open(byte* path, int flags, int mode);
    [DllImport("libc")] internal static extern int close(int fd);
    [DllImport("libc")] internal static extern nint read(int fd, void* buffer, nint count);
    [DllImport("libc")] internal static extern nint write(int fd, void* buffer, nint count);
    [DllImport("libc")] internal static extern nint pread(int fd, void* buffer, nint count, long offset);
    [DllImport("libc")] internal static extern nint pwrite(int fd, void* buffer, nint count, long offset);
    [DllImport("libc")] internal static extern nint preadv(int fd, IoVec* vector, int count, long offset);
    [DllImport("libc")] internal static extern nint pwritev(int fd, IoVec* vector, int count, long offset);
    [DllImport("libc")] internal static extern nint readv(int fd, IoVec* vector, int count);
    [DllImport("libc")] internal static extern nint writev(int fd, IoVec* vector, int count);
    [DllImport("libc")] internal static extern int fchmod(int fd, int mode);
    [DllImport("libc")] internal static extern int socket(int family, int type, int protocol);
    [DllImport("libc")] internal static extern int bind(int fd, void* address, int length);
    [DllImport("libc")] internal static extern int listen(int fd, int backlog);
    [DllImport("libc")] internal static extern int connect(int fd, void* address, int length);
    [DllImport("libc")] internal static extern int accept4(int fd, void* address, int* length, int flags);
    [DllImport("libc")] internal static extern nint send(int fd, void* buffer, nint count, int flags);
    [DllImport("libc")] internal static extern nint sendmsg(int fd, MessageHeader* message, int flags);
    [DllImport("libc")] internal static extern nint recvmsg(int fd, MessageHeader* message, int flags);
    [DllImport("libc")] internal static extern int socketpair(int family, int type, int protocol, int* ends);
    [DllImport("libc")] internal static extern int shutdown(int fd, int how);
    [DllImport("libc")] internal static extern int unlink(byte* path);
    [DllImport("libc")] internal static extern int fdatasync(int fd);
    [DllImport("libc")] internal static extern int fstat(int fd, Stat* status);
    [DllImport("libc")] internal static extern long lseek(int fd, long offset, int whence);
    [DllImport("libc")] internal static extern int openat(int directory, byte* path, int flags, int mode);
    [DllImport("libc")] internal static extern int renameat(int fromDirectory, byte* from, int toDirectory, byte* to);
    [DllImport("libc")] internal static extern int unlinkat(int directory, byte* path, int flags);
    [DllImport("libc")] internal static extern int mkdir(byte* path, int mode);
    [DllImport("libc")] internal static extern uint geteuid();
    [DllImport("libc")] internal static extern int ftruncate(int fd, long length);
    [DllImport("libc")] internal static extern int flock(int fd, int operation);
    [DllImport("libc")] internal static extern int fcntl(int fd, int command, nint argument);
    [DllImport("libc")] internal static extern int ioctl(int fd, nuint request, nint argument);
    [DllImport("libc")] internal static extern int ioctl(int fd, nuint request, void* argument);
    [DllImport("libc")] internal static extern void* mmap(void* address, nuint length, int protection, int flags, int fd, long offset);
    [DllImport("libc")] internal static extern int munmap(void* address, nuint length);
    [DllImport("libc")] internal static extern int mprotect(void* address, nuint length, int protection);
    [DllImport("libc")] internal static extern int madvise(void* address, nuint length, int advice);
    [DllImport("libc")] internal static extern int memfd_create(byte* name, uint flags);
    [DllImport("libc")] internal static extern int pipe2(int* ends, int flags);
    [DllImport("libc")] internal static extern int eventfd(uint initial, int flags);
    [DllImport("libc")] internal static extern nint syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);
    [DllImport("libc")] internal static extern nint pwritev2(int fd, IoVec* vector, int count, long offset, int flags);
    [DllImport("libc")] internal static extern int fallocate(int fd, int mode, long offset, long length);
    [DllImport("libc")] internal static extern int inotify_init1(int flags);
    [DllImport("libc")] internal static extern int inotify_add_watch(int fd, byte* path, uint mask);
    [DllImport("libc")] internal static extern int timerfd_create(int clock, int flags);
    [DllImport("libc")] internal static extern int timerfd_settime(int fd, int flags, TimerSpec* spec, TimerSpec* old);
    [DllImport("libc")] internal static extern int epoll_create1(int flags);
    [DllImport("libc")] internal static extern int epoll_ctl(int epoll, int operation, int fd, EpollEvent* e);
    [DllImport("libc")] internal static extern int epoll_wait(int epoll, EpollEvent* events, int count, int timeoutMilliseconds);
    [DllImport("libc")] internal static extern int poll(PollFd* fds, nuint count, int timeoutMilliseconds);
    [DllImport("libc")] internal static extern nint getrandom(void* buffer, nint count, uint flags);
    [DllImport("libc")] internal static extern int sigaction(int signal, SigAction* action, SigAction* old);
    [DllImport("libc")] internal static extern int pthread_sigmask(int how, ulong* set, ulong* old);
    [DllImport("libc")] internal static extern int tgkill(int process, int thread, int signal);
    [DllImport("libc")] internal static extern int gettid();
    [DllImport("libc")] internal static extern int getpid();
    [DllImport("libc")] internal static extern uint alarm(uint seconds);
    [DllImport("libc")] internal static extern int isatty(int fd);
    [DllImport("libc")] internal static extern int tcgetattr(int fd, Termios* state);
    [DllImport("libc")] internal static extern int tcsetattr(int fd, int when, Termios* state);
    [DllImport("libc")] internal static extern int tcgetpgrp(int fd);
    [DllImport("libc")] internal static extern int getpgrp();
    [DllImport("libc")] internal static extern void _exit(int code);
    [DllImport("libc")] internal static extern int posix_spawnp(int* child, byte* name, HostProgram.FileActions* files, HostProgram.Attributes* attributes, byte** arguments, byte** environment);
    [DllImport("libc")] internal static extern int posix_spawn_file_actions_init(HostProgram.FileActions* files);
    [DllImport("libc")] internal static extern int posix_spawn_file_actions_addopen(HostProgram.FileActions* files, int fd, byte* path, int flags, int mode);
    [DllImport("libc")] internal static extern int posix_spawn_file_actions_adddup2(HostProgram.FileActions* files, int from, int to);
    [DllImport("libc")] internal static extern int posix_spawn_file_actions_addclosefrom_np(HostProgram.FileActions* files, int first);
    [DllImport("libc")] internal static extern int posix_spawn_file_actions_destroy(HostProgram.FileActions* files);
    [DllImport("libc")] internal static extern int posix_spawnattr_init(HostProgram.Attributes* attributes);
    [DllImport("libc")] internal static extern int posix_spawnattr_setflags(HostProgram.Attributes* attributes, short flags);
    [DllImport("libc")] internal static extern int posix_spawnattr_setsigmask(HostProgram.Attributes* attributes, ulong* signals);
    [DllImport("libc")] internal static extern int posix_spawnattr_setsigdefault(HostProgram.Attributes* attributes, ulong* signals);
    [DllImport("libc")] internal static extern int waitpid(int process, int* status, int options);
    [DllImport("libc")] internal static extern int kill(int process, int signal);
    [DllImport("libc")] internal static extern int prlimit(int process, int resource, ulong* limits, ulong* old);

    /// <summary>Opens a file; -1 and <see cref="Errno"/> on failure. Always close-on-exec.</summary>
    internal static int Open(string path, int flags, int mode = 0)
    {
        fixed (byte* p = Path(path)) return open(p, flags | O_CLOEXEC, mode);
    }

    /// <summary>A path as the C library wants it: UTF-8, ended by a NUL.</summary>
    internal static byte[] Path(string path)
    {
        byte[] bytes = new byte[System.Text.Encoding.UTF8.GetByteCount(path) + 1];
        System.Text.Encoding.UTF8.GetBytes(path, bytes);
        return bytes;
    }

    /// <summary>The system's word for an error number: "No such file or directory".</summary>
    internal static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    [StructLayout(LayoutKind.Sequential)]
    internal struct IoVec
    {
        internal void* Base;
        internal nuint Length;

        internal IoVec(Memory.HostRange range)
        {
            Base = range.Address;
            Length = (nuint)range.Length;
        }
    }

    /// <summary><c>struct msghdr</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        internal void* Name;
        internal uint NameLength;
        internal IoVec* Vector;
        internal nuint VectorCount;
        internal void* Control;
        internal nuint ControlLength;
        internal int Flags;
    }

    /// <summary>glibc's <c>struct stat</c> on x86-64.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Stat
    {
        internal ulong Device, Inode, Links;
        internal uint Mode, Owner, Group, Padding;
        internal ulong SpecialDevice;
        internal long Size, BlockSize, Blocks, AccessSeconds, AccessNanoseconds, ModifySeconds, ModifyNanoseconds, ChangeSeconds, ChangeNanoseconds;
        internal fixed long Reserved[3];
    }

    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    internal struct EpollEvent
    {
        internal uint Events;
        internal ulong Data;
    }

    /// <summary>glibc's <c>struct itimerspec</c> on x86-64: repetition and first time.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct TimerSpec
    {
        internal long RepeatSeconds, RepeatNanoseconds, Seconds, Nanoseconds;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        internal int Fd;
        internal short Events;
        internal short Returned;
    }

    /// <summary>glibc's <c>struct sigaction</c> on x86-64.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 152)]
    internal struct SigAction
    {
        [FieldOffset(0)] internal void* Handler;
        [FieldOffset(8)] internal fixed ulong Mask[16];
        [FieldOffset(136)] internal int Flags;
    }

    /// <summary>glibc's <c>struct termios</c> on x86-64.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Termios
    {
        internal uint InputFlags, OutputFlags, ControlFlags, LocalFlags;
        internal byte Line;
        internal fixed byte ControlCharacters[32];
        internal uint InputSpeed, OutputSpeed;
    }
}
