using System.Diagnostics;
using System.Globalization;

namespace MicroVm.Diagnostics;

/// <summary>When the phases of a start were reached: <c>--timeline</c>. Always on, as a mark costs a clock reading and two stores.</summary>
/// <remarks>Times are CLOCK_MONOTONIC. Their origin is the moment that a harness put into <see cref="OriginVariable"/> before it started this process,
/// else the first mark. One list a process: of several machines the marks stand in the order in which they happened.</remarks>
internal static class Timeline
{
    /// <summary>Environment variable with the CLOCK_MONOTONIC nanosecond at which the process was started.</summary>
    internal const string OriginVariable = "MICROVM_START_NS";

    /// <summary>Marks kept; later ones are dropped.</summary>
    internal const int Capacity = 64;

    private static readonly string?[] Names = new string?[Capacity];
    private static readonly long[] Times = new long[Capacity];
    private static int s_count;

    /// <summary>Notes that <paramref name="phase"/> has been reached now. From any thread; allocates nothing.</summary>
    internal static void Mark(string phase)
    {
        int slot = Interlocked.Increment(ref s_count) - 1;
        if (slot >= Capacity) return;
        Times[slot] = Stopwatch.GetTimestamp();
        Volatile.Write(ref Names[slot], phase);
    }

    /// <summary>The marks so far, each with its nanoseconds since the origin.</summary>
    internal static (string Phase, long Nanoseconds)[] Marks(out bool fromHarness)
    {
        int count = Math.Min(Volatile.Read(ref s_count), Capacity);
        fromHarness = long.TryParse(Environment.GetEnvironmentVariable(OriginVariable), NumberStyles.None, CultureInfo.InvariantCulture, out long origin);
        if (!fromHarness) origin = count > 0 ? Nanoseconds(Times[0]) : 0;
        var marks = new List<(string, long)>(count);
        for (int i = 0; i < count; i++)
        {
            // A mark whose name is not there yet is being made by another thread.
            if (Volatile.Read(ref Names[i]) is { } name) marks.Add((name, Nanoseconds(Times[i]) - origin));
        }
        return [.. marks];
    }

    /// <summary>The marks as JSON: <c>{"unit":"us","origin":"harness"|"first mark","marks":[{"phase":"main","at":812.4,"took":3.1}, ...]}</c>;
    /// <c>took</c> is the time since the mark before.</summary>
    internal static JsonMap Json()
    {
        JsonList rows = [];
        (string Phase, long Nanoseconds)[] marks = Marks(out bool fromHarness);
        long before = 0;
        foreach ((string phase, long nanoseconds) in marks)
        {
            rows.Add(new JsonMap { ["phase"] = phase, ["at"] = new JsonThousandths(nanoseconds), ["took"] = new JsonThousandths(nanoseconds - before) });
            before = nanoseconds;
        }
        return new JsonMap { ["unit"] = "us", ["origin"] = fromHarness ? "harness" : "first mark", ["marks"] = rows };
    }

    private static long Nanoseconds(long ticks) => ticks * (1_000_000_000 / Stopwatch.Frequency);
}
