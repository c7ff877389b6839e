using System.Diagnostics;
using Xunit;

// They start processes and look at what those leave behind.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace MicroVm.Cli.Tests;

/// <summary>One run of the program, and what came of it.</summary>
internal sealed record Ran(int Code, string Out, string Error)
{
    /// <summary>Exactly one line in the contract's form, and no stack trace.</summary>
    internal string ErrorLine()
    {
        Assert.Matches(@"^microvm: error: [^\n]+, [^\n]+\. [^\n]+[.?]\n$", Error);
        Assert.DoesNotContain("   at ", Error, StringComparison.Ordinal);
        return Error;
    }
}

internal static class Cli
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>The program under test.</summary>
    internal static string Program { get; } = FindProgram();

    /// <summary>Folder for the files of a test; the tests' own, empty at first.</summary>
    internal static string Scratch { get; } = Directory.CreateTempSubdirectory("microvm-cli-").FullName;

    internal static Ran Run(params string[] args) => Start(Program, args);

    /// <summary>Runs <c>"$0" "$@"</c> surrounded by shell: redirections, limits.</summary>
    internal static Ran Shell(string script, params string[] args) => Start("/bin/sh", ["-c", script, Program, .. args]);

    /// <summary>Copies of the program and of a kernel that any user can run: the tests may lie in a folder of root's.</summary>
    internal static (string Program, string Kernel) ForAnyUser(string kernel)
    {
        string program = Path.Combine(Scratch, "microvm"), copy = Path.Combine(Scratch, "any-user.elf");
        System.IO.File.Copy(Program, program, overwrite: true);
        System.IO.File.Copy(kernel, copy, overwrite: true);
        Assert.Equal(0, Shell("chmod a+rx \"$1\" \"$2\" \"$3\"", Scratch, program, copy).Code);
        return (program, copy);
    }

    /// <summary>A file with <paramref name="text"/>.</summary>
    internal static string File(string name, string text)
    {
        string path = Path.Combine(Scratch, name);
        System.IO.File.WriteAllText(path, text);
        return path;
    }

    private static Ran Start(string program, string[] args)
    {
        ProcessStartInfo start = new(program, args) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.Environment.Remove("MICROVM_DEBUG");
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill();
            Assert.Fail($"{program} {string.Join(' ', args)} did not end");
        }
        return new Ran(process.ExitCode, output.Result, error.Result);
    }

    private static string FindProgram()
    {
        if (Environment.GetEnvironmentVariable("MICROVM_BIN") is { Length: > 0 } given) return given;
        string published = Repository.Full("artifacts/microvm");
        return System.IO.File.Exists(published) ? published : Path.Combine(AppContext.BaseDirectory, "MicroVm.Cli");
    }
}
