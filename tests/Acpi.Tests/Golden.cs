using System.Reflection;

namespace Acpi.Tests;

/// <summary>Files that say what came out last time; rewritten only with MICROVM_UPDATE_BASELINES=1.</summary>
internal static class Golden
{
    private static readonly string Source = typeof(Golden).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "SourceFolder").Value!;

    public static bool Updating { get; } = Environment.GetEnvironmentVariable("MICROVM_UPDATE_BASELINES") == "1";

    public static string Input(string name) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Goldens", name));

    public static void Check(string name, string actual)
    {
        if (Updating)
        {
            File.WriteAllText(Path.Combine(Source, "Goldens", name), actual);
            return;
        }
        string path = Path.Combine(AppContext.BaseDirectory, "Goldens", name);
        Assert.True(File.Exists(path), $"no golden file {name}; write it with MICROVM_UPDATE_BASELINES=1");
        Assert.Equal(File.ReadAllText(path), actual);
    }
}
