using System.Diagnostics;
using System.Globalization;

namespace MicroVm.Fuzz;

/// <summary>Lives of one target, each from a seed of its own, for <c>MICROVM_FUZZ_SECONDS</c> (default 10). A finding names its seed; <c>MICROVM_FUZZ_SEED</c> begins there.</summary>
internal static class FuzzRun
{
    private const double DefaultSeconds = 10;

    private static TimeSpan Time { get; } = TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("MICROVM_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double seconds) ? seconds : DefaultSeconds);

    private static int FirstSeed { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("MICROVM_FUZZ_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : Random.Shared.Next(1 << 30);

    /// <summary>Runs lives until the target's time is over.</summary>
    /// <param name="target">For messages.</param>
    /// <param name="life">One life. All that is random in it comes from its argument.</param>
    /// <param name="share">Targets that share the time.</param>
    internal static void Run(string target, Action<Random> life, int share = 1)
    {
        // A crash of the process takes its message with it: this line is what is left.
        Console.Error.WriteLine($"fuzz: {target}: MICROVM_FUZZ_SEED={FirstSeed}");
        long start = Stopwatch.GetTimestamp();
        int seed = FirstSeed;
        do
        {
            try
            {
                life(new Random(seed));
            }
            catch (Exception e)
            {
                Assert.Fail($"{target}: MICROVM_FUZZ_SEED={seed} finds it again\n{e}");
            }
            seed++;
        }
        while (Stopwatch.GetElapsedTime(start) < Time / share);
    }
}
