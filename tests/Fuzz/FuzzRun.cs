using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace MicroVm.Fuzz;

/// <summary>Lives of one target, each from a seed of its own, for <c>MICROVM_FUZZ_SECONDS</c> (default 10). A finding
/// names its seed; <c>MICROVM_FUZZ_SEED</c> begins there.</summary>
internal static class FuzzRun
{
    private const double DefaultSeconds = 10;
    // A life takes milliseconds; one that takes this long has stopped.
    private const int HungMilliseconds = 120_000;

    private static readonly ConcurrentDictionary<string, int> s_running = new();

    // A device's thread ends the process, and no test says which life it was.
    static FuzzRun() => AppDomain.CurrentDomain.UnhandledException += static (_, e) =>
    {
        foreach ((string target, int seed) in s_running) Say($"{target} was at MICROVM_FUZZ_SEED={seed}");
        Console.Error.WriteLine(e.ExceptionObject);
    };

    private static TimeSpan Time { get; } = TimeSpan.FromSeconds(
        double.TryParse(Setting("SECONDS"), CultureInfo.InvariantCulture, out double number) ? number : DefaultSeconds);

    private static int FirstSeed { get; } =
        int.TryParse(Setting("SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : Random.Shared.Next(1 << 30);

    /// <summary>Runs lives until the target's time is over.</summary>
    /// <param name="target">For messages.</param>
    /// <param name="life">One life. All that is random in it comes from its argument.</param>
    /// <param name="share">Targets that share the time.</param>
    /// <param name="reach">What the lives are to come to; more are lived until they have.</param>
    internal static void Run(string target, Action<Random> life, int share = 1, Reach? reach = null)
    {
        // A crash of the process takes its message with it: this line is what is left.
        Say($"{target}: MICROVM_FUZZ_SEED={FirstSeed}");
        long start = Stopwatch.GetTimestamp();
        int seed = FirstSeed;
        using Timer hung = new(_ => Environment.FailFast($"{target}: MICROVM_FUZZ_SEED={seed} has not ended"));
        do
        {
            s_running[target] = seed;
            _ = hung.Change(HungMilliseconds, Timeout.Infinite);
            try
            {
                life(new Random(seed));
            }
            catch (Exception e)
            {
                Assert.Fail($"{target}: MICROVM_FUZZ_SEED={seed} finds it again\n{e}");
            }
            finally
            {
                _ = s_running.TryRemove(target, out _);
            }
            seed++;
        }
        while (Elapsed() < Time / share || (reach is { IsAll: false } && Elapsed() < Time + Reach.Patience));
        Say($"{target}: {seed - FirstSeed} lives in {Elapsed().TotalSeconds:f1} s{(reach is null ? "" : ": ")}{reach}");
        Assert.True(reach is null or { IsAll: true }, $"{target} does not reach all that it is for: {reach}");

        TimeSpan Elapsed() => Stopwatch.GetElapsedTime(start);
    }

    private static string? Setting(string name) => Environment.GetEnvironmentVariable("MICROVM_FUZZ_" + name);

    private static void Say(string line) => Console.Error.WriteLine("fuzz: " + line);
}

/// <summary>What the lives of a target came to, counted. A target that reaches nothing finds nothing, and passes for
/// ever: so it fails.</summary>
/// <param name="names">What is to be reached.</param>
internal sealed class Reach(params string[] names)
{
    /// <summary>How long a slow machine may need for what is rare.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly long[] _counts = new long[names.Length];

    internal bool IsAll => Array.TrueForAll(_counts, static c => c != 0);

    internal void Add(string name, long count = 1)
    {
        int index = Array.IndexOf(names, name);
        if (index < 0) throw new ArgumentException($"{name} is not named");
        Interlocked.Add(ref _counts[index], count);
    }

    public override string ToString() => string.Join(", ", names.Select((name, i) => $"{name} {_counts[i]}"));
}
