using System.Text;
using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>Tells the user when the host does not read or write an image: the guest gets an error for each such request, the user a line now and then.</summary>
/// <param name="path">The image.</param>
/// <param name="log">Where lines go, or null for counting only.</param>
internal sealed class BlockErrors(string path, OutputPump? log)
{
    private const long QuietMilliseconds = 5000;

    private readonly Lock _lock = new();
    private long _count, _silent, _next = long.MinValue;

    /// <summary>Requests that failed.</summary>
    internal long Count => Volatile.Read(ref _count);

    /// <summary>Counts a failure of the host. From any thread.</summary>
    internal void Note(BlockOperation operation, int error)
    {
        Interlocked.Increment(ref _count);
        long silent;
        lock (_lock)
        {
            if (Environment.TickCount64 < _next)
            {
                _silent++;
                return;
            }
            _next = Environment.TickCount64 + QuietMilliseconds;
            (silent, _silent) = (_silent, 0);
        }
        Say($"{Word(operation)} failed: {Libc.Describe(error)}{(silent == 0 ? "" : $" ({silent} more before, not shown)")}");
    }

    /// <summary>Tells the user something about the image.</summary>
    internal void Say(string what) => log?.Write(Encoding.UTF8.GetBytes($"microvm: note: disk {path}: {what}\n"));

    private static string Word(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => "reading",
        BlockOperation.Flush => "flushing",
        BlockOperation.PunchHole or BlockOperation.ZeroRange => "freeing",
        _ => "writing",
    };
}
