namespace MicroVm.Tests.Shared;

/// <summary>Files of the repository that the tests read, and rewrite when asked to.</summary>
public static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>The environment asks for baselines to be rewritten instead of compared.</summary>
    public static bool Updates => Environment.GetEnvironmentVariable("MICROVM_UPDATE_BASELINES") == "1";

    public static string Full(string path) => Path.Combine(Root, path);

    public static string Text(string path) => File.ReadAllText(Full(path)).Replace("\r\n", "\n", StringComparison.Ordinal);

    public static IEnumerable<string> Definitions =>
        Directory.GetFiles(Full("devices.def"), "*.def").Select(f => "devices.def/" + Path.GetFileName(f)).Order(StringComparer.Ordinal);

    /// <summary>Compares with a file of the repository, or rewrites it.</summary>
    public static void Baseline(string path, string actual)
    {
        string full = Full(path);
        if (Updates)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            if (!File.Exists(full) || File.ReadAllText(full) != actual) File.WriteAllText(full, actual);
            return;
        }
        Assert.True(File.Exists(full), $"{path} is missing; MICROVM_UPDATE_BASELINES=1 writes it");
        if (Text(path) != actual) Assert.Fail($"{path} is not current; MICROVM_UPDATE_BASELINES=1 rewrites it.\n{Difference(Text(path), actual)}");
    }

    private static string Difference(string expected, string actual)
    {
        string[] old = expected.Split('\n'), now = actual.Split('\n');
        int line = 0;
        while (line < old.Length && line < now.Length && old[line] == now[line]) line++;
        return $"line {line + 1}\n- {(line < old.Length ? old[line] : "(end)")}\n+ {(line < now.Length ? now[line] : "(end)")}";
    }

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "MicroVm.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("the tests run outside the repository");
    }
}
