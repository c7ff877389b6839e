using Microsoft.Win32.SafeHandles;

namespace MicroVm.Kvm;

/// <summary>A pipe of the host, both ends close-on-exec.</summary>
internal sealed unsafe class HostPipe : IDisposable
{
    /// <param name="nonBlocking">Neither end ever waits.</param>
    /// <exception cref="MicroVmException">The host has no file descriptors left.</exception>
    internal HostPipe(bool nonBlocking = false)
    {
        int* ends = stackalloc int[2];
        if (Libc.pipe2(ends, Libc.O_CLOEXEC | (nonBlocking ? Libc.O_NONBLOCK : 0)) != 0)
            throw MicroVmException.Host("cannot make a pipe", Libc.Describe(Libc.Errno),
                "Raise the limit of open files (ulimit -n)");
        Reader = new SafeFileHandle(ends[0], ownsHandle: true);
        Writer = new SafeFileHandle(ends[1], ownsHandle: true);
    }

    /// <summary>The end to read from; it sees the end of the stream once <see cref="Writer"/> is closed.</summary>
    internal SafeFileHandle Reader { get; }

    /// <summary>The end to write to.</summary>
    internal SafeFileHandle Writer { get; }

    public void Dispose()
    {
        Reader.Dispose();
        Writer.Dispose();
    }
}
