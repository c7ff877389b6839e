using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace MicroVm.Kvm;

/// <summary>What a program may take.</summary>
/// <param name="Milliseconds">Time until it is killed.</param>
/// <param name="FileBytes">Size of each file that it writes.</param>
/// <param name="MemoryBytes">Its address space.</param>
internal readonly record struct ProgramLimits(int Milliseconds, ulong FileBytes, ulong MemoryBytes);

/// <summary>Programs of the host that work for this one. Each gets one descriptor, as number 3, or none, and nothing else of this process.</summary>
internal static unsafe class HostProgram
{
    /// <summary>The number under which a program finds its descriptor.</summary>
    internal const int GivenDescriptor = 3;

    private const int MaxSaid = 4096, StartMilliseconds = 30_000, PollMilliseconds = 5;
    // wait.h: WNOHANG; signal.h: SIGKILL.
    private const int DoNotWait = 1, Killed = 9;
    private const short SetSignalDefaults = 4, SetSignalMask = 8, SetSession = 0x80;

    /// <summary>Starts a program that goes into the background once it is ready, and waits for that.</summary>
    /// <param name="name">Its name, looked for in PATH.</param>
    /// <param name="arguments">Without the name.</param>
    /// <param name="descriptor">Stays the caller's.</param>
    /// <param name="said">What it wrote to standard error until then, or why it could not be started.</param>
    /// <returns>0 if it is ready; its exit code, or 128 and the signal; minus the error number if it could not be started.</returns>
    internal static int StartService(string name, ReadOnlySpan<string> arguments, int descriptor, out string said)
    {
        using HostPipe pipe = new();
        int error = Spawn(name, arguments, descriptor, Handle(pipe.Writer), out int child);
        pipe.Writer.Dispose();
        said = error == 0 ? ReadToEnd(Handle(pipe.Reader)) : Libc.Describe(error);
        return error == 0 ? WaitFor(child) : -error;
    }

    /// <summary>Runs a program to its end, within limits; what it says goes nowhere.</summary>
    /// <param name="name">Its name, looked for in PATH.</param>
    /// <param name="arguments">Without the name.</param>
    /// <param name="limits">What it may take.</param>
    /// <param name="error">0, or why it could not be started.</param>
    /// <returns>Its exit code; null if it could not be started, a signal ended it or its time was over.</returns>
    internal static int? Run(string name, ReadOnlySpan<string> arguments, ProgramLimits limits, out int error)
    {
        error = Spawn(name, arguments, descriptor: -1, standardError: -1, out int child);
        if (error != 0) return null;
        // It has ended already where that fails.
        HostProcess.SetLimit(HostProcess.FileSize, limits.FileBytes, limits.FileBytes, child);
        HostProcess.SetLimit(HostProcess.AddressSpace, limits.MemoryBytes, limits.MemoryBytes, child);
        int code = WaitFor(child, limits.Milliseconds);
        error = Math.Max(0, -code);
        return code is >= 0 and < 128 ? code : null;
    }

    // A child that is not over then is killed, with what it has started: it leads its session.
    private static int WaitFor(int child, int milliseconds)
    {
        long end = Environment.TickCount64 + milliseconds;
        int status = 0;
        while (Environment.TickCount64 < end)
        {
            if (Libc.waitpid(child, &status, DoNotWait) == child) return Outcome(status);
            Thread.Sleep(PollMilliseconds);
        }
        _ = Libc.kill(-child, Killed);
        return WaitFor(child);
    }

    private static int Handle(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

    private static int Spawn(string name, ReadOnlySpan<string> arguments, int descriptor, int standardError, out int child)
    {
        byte[] text = Pack(name, arguments);
        FileActions files;
        Attributes attributes;
        ulong* signals = stackalloc ulong[16];
        int pid = 0, error;
        _ = Libc.posix_spawn_file_actions_init(&files);
        _ = Libc.posix_spawnattr_init(&attributes);
        // SAFETY: all pointers are to this frame or to pinned bytes, and the call returns when the child has them.
        fixed (byte* t = text, nowhere = "/dev/null\0"u8)
        {
            byte** argv = stackalloc byte*[arguments.Length + 2];
            byte* next = t;
            for (int i = 0; i <= arguments.Length; i++)
            {
                argv[i] = next;
                while (*next++ != 0) { }
            }
            argv[arguments.Length + 1] = null;
            byte* none = null;
            // The standard ones first: the descriptor to give may have any number above, the third among them.
            _ = Libc.posix_spawn_file_actions_addopen(&files, 0, nowhere, Libc.O_RDWR, 0);
            _ = Libc.posix_spawn_file_actions_adddup2(&files, 0, 1);
            _ = Libc.posix_spawn_file_actions_adddup2(&files, standardError < 0 ? 0 : standardError, 2);
            if (descriptor >= 0) _ = Libc.posix_spawn_file_actions_adddup2(&files, descriptor, GivenDescriptor);
            _ = Libc.posix_spawn_file_actions_addclosefrom_np(&files, descriptor < 0 ? GivenDescriptor : GivenDescriptor + 1);
            // What the runtime ignores and blocks is its own; a terminal's keys are for this process.
            _ = Libc.posix_spawnattr_setflags(&attributes, SetSignalDefaults | SetSignalMask | SetSession);
            _ = Libc.posix_spawnattr_setsigmask(&attributes, signals);
            signals[0] = ulong.MaxValue;
            _ = Libc.posix_spawnattr_setsigdefault(&attributes, signals);
            error = Libc.posix_spawnp(&pid, t, &files, &attributes, argv, &none);
        }
        _ = Libc.posix_spawn_file_actions_destroy(&files);
        child = pid;
        return error;
    }

    private static byte[] Pack(string name, ReadOnlySpan<string> arguments)
    {
        StringBuilder all = new(name);
        foreach (string argument in arguments) all.Append('\0').Append(argument);
        return Libc.Path(all.ToString());
    }

    private static string ReadToEnd(int pipe)
    {
        byte[] said = new byte[MaxSaid];
        int length = 0;
        long end = Environment.TickCount64 + StartMilliseconds;
        while (Environment.TickCount64 < end)
        {
            if (!HostIo.Wait(pipe, Libc.EPOLLIN, 100)) continue;
            // What is too long is read all the same, into the last byte: nobody waits for a full pipe.
            int got = HostIo.Read(pipe, said.AsSpan(Math.Min(length, MaxSaid - 1)));
            if (got <= 0) break;
            length = Math.Min(length + got, MaxSaid);
        }
        return Encoding.UTF8.GetString(said, 0, length);
    }

    private static int WaitFor(int child)
    {
        int status = 0, n;
        do n = Libc.waitpid(child, &status, 0); while (n < 0 && Libc.Errno == Libc.EINTR);
        if (n < 0) return -Libc.Errno;
        return Outcome(status);
    }

    private static int Outcome(int status) =>
        (status & 0x7f) is var signal and not 0 ? 128 + signal : (status >> 8) & 0xff;

    /// <summary>glibc's <c>posix_spawn_file_actions_t</c> on x86-64.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 80)]
    internal struct FileActions
    {
        [FieldOffset(8)] internal void* List;
    }

    /// <summary>glibc's <c>posix_spawnattr_t</c> on x86-64.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 336)]
    internal struct Attributes
    {
        [FieldOffset(0)] internal short Flags;
    }
}
