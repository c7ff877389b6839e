using System.Diagnostics;

namespace Acpi.Tests;

/// <summary>A fact that needs the oracle, and is skipped with the reason where it is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OracleFactAttribute : FactAttribute
{
    public OracleFactAttribute()
    {
        if (!Iasl.Present) Skip = Iasl.Missing;
    }
}

/// <summary>The same for a theory.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OracleTheoryAttribute : TheoryAttribute
{
    public OracleTheoryAttribute()
    {
        if (!Iasl.Present) Skip = Iasl.Missing;
    }
}

/// <summary>Runs iasl and acpiexec in a folder of its own.</summary>
internal sealed class Iasl : IDisposable
{
    public const string Missing = "iasl is not on PATH; install acpica-tools";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("acpi-tests-");

    public static bool Present { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(p => File.Exists(Path.Combine(p, "iasl")));

    public string Write(string name, ReadOnlySpan<byte> bytes)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    public string Write(string name, string text)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }

    public string Read(string name) => File.ReadAllText(Path.Combine(_folder.FullName, name));

    public byte[] ReadBytes(string name) => File.ReadAllBytes(Path.Combine(_folder.FullName, name));

    public bool Exists(string name) => File.Exists(Path.Combine(_folder.FullName, name));

    /// <summary>Runs a tool; its output and error text together.</summary>
    public string Run(string tool, params string[] arguments)
    {
        var start = new ProcessStartInfo(tool, arguments) { WorkingDirectory = _folder.FullName, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(60_000))
        {
            process.Kill();
            throw new TimeoutException($"{tool} {string.Join(' ', arguments)}");
        }
        return output + errors.Result;
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
