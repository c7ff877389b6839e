namespace MicroVm.Events;

/// <summary>The one way to a thread: vCPUs', devices', helpers'. Each has an owner, which hears of its
/// failure.</summary>
internal static class HostThread
{
    private const int StackSize = 256 << 10;

    /// <summary>Starts one that does not keep the process alive.</summary>
    /// <param name="run">What it does.</param>
    /// <param name="name">Its name; Linux shows the first 15 bytes.</param>
    /// <param name="owner">Hears of what <paramref name="run"/> throws.</param>
    /// <param name="stackSize">Bytes of its stack.</param>
    /// <exception cref="MicroVmException">The host gives no thread.</exception>
    internal static Thread Start(ThreadStart run, string name, IThreadOwner owner, int stackSize = StackSize)
    {
        Thread thread = new(() => Run(run, name, owner), stackSize) { Name = name, IsBackground = true };
        try
        {
            thread.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            throw MicroVmException.Host("cannot start a thread", name, "Raise the limit of processes (ulimit -u, pids.max) or of open files (ulimit -n)");
        }
        return thread;
    }

    private static void Run(ThreadStart run, string name, IThreadOwner owner)
    {
        try
        {
            run();
        }
        catch (Exception e)
        {
            owner.OnFailure(name, e);
        }
    }
}
