using System.Buffers;
using System.Buffers.Text;
using System.Text;
using MicroVm.Events;

namespace MicroVm.Diagnostics;

/// <summary>What the guest does wrong: counted always, logged at a limited rate, survived. Callable from any thread; allocates nothing and never waits.</summary>
/// <param name="log">Where the lines go, or null for counting only.</param>
/// <param name="clock">Milliseconds that only grow; for tests.</param>
public sealed class GuestErrors(OutputPump? log, Func<long>? clock = null)
{
    /// <summary>Lines per window.</summary>
    public const int LinesPerWindow = 10;
    /// <summary>Length of the window in milliseconds.</summary>
    public const int WindowMilliseconds = 5000;

    private readonly Lock _lock = new();
    private long _windowStart = long.MinValue / 2;
    private int _lines;
    private long _count, _suppressed, _unreported;

    /// <summary>Takes what is not the guest's doing: the host refused something that the guest had a right
    /// to.</summary>
    internal HostNotes? Host { get; init; }

    /// <summary>Errors so far.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>Errors that made no line.</summary>
    public long Suppressed => Volatile.Read(ref _suppressed);

    /// <summary>Counts an error and logs it if the rate allows: "microvm: guest error: virtio-block[2]: available index jumped, queue 0x1".</summary>
    /// <param name="source">Who found it.</param>
    /// <param name="index">Which one of its kind; -1 if there is only one.</param>
    /// <param name="what">What was wrong, a literal.</param>
    /// <param name="place">Word before the number: "queue", "offset"; empty for no number.</param>
    /// <param name="number">The number.</param>
    public void Report(string source, int index, string what, string place = "", ulong number = 0)
    {
        Interlocked.Increment(ref _count);
        long held;
        lock (_lock)
        {
            long now = clock?.Invoke() ?? Environment.TickCount64;
            if (now - _windowStart >= WindowMilliseconds) (_windowStart, _lines) = (now, 0);
            if (_lines >= LinesPerWindow)
            {
                _suppressed++;
                _unreported++;
                return;
            }
            _lines++;
            held = _unreported;
            _unreported = 0;
        }
        Print(source, index, what, place, number, held);
    }

    private void Print(string source, int index, string what, string place, ulong number, long held)
    {
        if (log is null) return;
        Span<byte> line = stackalloc byte[256];
        int n = 0;
        if (held != 0)
        {
            Put(line, ref n, "microvm: guest errors: ");
            Put(line, ref n, (ulong)held, 'd');
            Put(line, ref n, " more, not shown\n");
        }
        Put(line, ref n, "microvm: guest error: ");
        Put(line, ref n, source);
        if (index >= 0)
        {
            Put(line, ref n, "[");
            Put(line, ref n, (ulong)index, 'd');
            Put(line, ref n, "]");
        }
        Put(line, ref n, ": ");
        Put(line, ref n, what);
        if (place.Length != 0)
        {
            Put(line, ref n, ", ");
            Put(line, ref n, place);
            Put(line, ref n, " 0x");
            Put(line, ref n, number, 'x');
        }
        Put(line, ref n, "\n");
        log.Write(line[..n]);
    }

    // By hand: the interpolated handler boxes numbers where its code is not optimised.
    private static void Put(Span<byte> line, ref int at, string text)
    {
        if (Encoding.UTF8.TryGetBytes(text, line[at..], out int written)) at += written;
    }

    private static void Put(Span<byte> line, ref int at, ulong number, char format)
    {
        if (Utf8Formatter.TryFormat(number, line[at..], out int written, new StandardFormat(format))) at += written;
    }
}
