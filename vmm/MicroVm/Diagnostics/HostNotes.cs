using System.Text;
using MicroVm.Events;

namespace MicroVm.Diagnostics;

/// <summary>What goes wrong on the host while a machine runs and is survived, and what comes right again: one line each, at a limited rate. Callable from any thread; never waits.</summary>
/// <param name="log">Where the lines go, or null for counting only.</param>
/// <param name="clock">Milliseconds that only grow; for tests.</param>
internal sealed class HostNotes(OutputPump? log, Func<long>? clock = null)
{
    private readonly Lock _lock = new();
    private long _windowStart = long.MinValue / 2;
    private int _lines, _unreported;
    private long _count;

    /// <summary>Notes so far, those that were left out among them.</summary>
    internal long Count => Volatile.Read(ref _count);

    /// <summary>Says it, unless too much was said lately; then the next line says how much was left out.</summary>
    internal void Say(string what)
    {
        Interlocked.Increment(ref _count);
        int held;
        lock (_lock)
        {
            long now = clock?.Invoke() ?? Environment.TickCount64;
            if (now - _windowStart >= GuestErrors.WindowMilliseconds) (_windowStart, _lines) = (now, 0);
            if (_lines >= GuestErrors.LinesPerWindow)
            {
                _unreported++;
                return;
            }
            _lines++;
            (held, _unreported) = (_unreported, 0);
        }
        log?.Write(Encoding.UTF8.GetBytes(held == 0 ? $"microvm: note: {what}\n"
            : $"microvm: note: {what} ({held} notes before it were left out)\n"));
    }
}
