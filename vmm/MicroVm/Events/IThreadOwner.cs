namespace MicroVm.Events;

/// <summary>Hears of a thread of its own that failed, so that one failure never ends the process and what else runs in
/// it.</summary>
public interface IThreadOwner
{
    /// <summary>A thread ended with an exception that nothing on it handled, or a handler on it did.</summary>
    /// <param name="thread">Name of the thread.</param>
    /// <param name="failure">What it ended with. A <see cref="MicroVmException"/>: the host refused something.</param>
    void OnFailure(string thread, Exception failure);
}

/// <summary>Owners that are no machine.</summary>
public static class ThreadOwner
{
    /// <summary>For devices outside a machine: a failure ends the process, with the exception in its last words.</summary>
    public static IThreadOwner Process { get; } = new Ender();

    private sealed class Ender : IThreadOwner
    {
        public void OnFailure(string thread, Exception failure) =>
            Environment.FailFast($"the monitor failed on thread {thread}: {failure.Message}", failure);
    }
}
