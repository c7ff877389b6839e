namespace MicroVm.Events;

/// <summary>The one way to a thread: vCPUs', devices', helpers'.</summary>
internal static class HostThread
{
    private const int StackSize = 256 << 10;

    /// <summary>Starts one that does not keep the process alive.</summary>
    /// <exception cref="MicroVmException">The host gives no thread.</exception>
    internal static Thread Start(ThreadStart run, string name, int stackSize = StackSize)
    {
        Thread thread = new(run, stackSize) { Name = name, IsBackground = true };
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
}
