namespace MicroVm.Tests.Shared;

/// <summary>Counts what code allocates on the thread that runs it.</summary>
public static class Allocations
{
    private const int Rounds = 5;

    /// <summary>Bytes of the round that allocates least: code that allocates does so in every one. What else is counted comes and goes: the runtime allocates when it
    /// compiles a loop that is running or first loads a type, and the rest of a thread's allocation buffer counts as allocated when another thread collects.</summary>
    public static long Least(Action round)
    {
        long least = long.MaxValue;
        for (int i = 0; i < Rounds && least != 0; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            round();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
