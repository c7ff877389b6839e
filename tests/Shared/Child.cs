using System.Diagnostics;
using System.Reflection;

namespace MicroVm.Tests.Shared;

/// <summary>Runs a part of a test in a process of its own, which has limits that would harm the others, or which may
/// abort. The process is the test's assembly again (SuiteProgram.cs).</summary>
public static class Child
{
    /// <summary>First argument of such a process.</summary>
    public const string Word = "child";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>In the child: a folder of its own, empty at first.</summary>
    public static string Folder { get; private set; } = "";

    /// <summary>Runs a static method there; it passes if it returns.</summary>
    /// <returns>What it wrote to the standard output and to standard error.</returns>
    /// <param name="body">What to run.</param>
    /// <param name="argument">For it.</param>
    /// <param name="before">Words of a command that runs it: <c>setpriv</c> and its options.</param>
    public static (string Out, string Error) Run(Action<string> body, string argument = "", params string[] before)
    {
        Assembly assembly = body.Method.DeclaringType!.Assembly;
        string host = Environment.ProcessPath is { } path && Path.GetFileName(path) == "dotnet" ? path : "dotnet";
        string type = body.Method.DeclaringType.FullName!, method = body.Method.Name;
        string[] command = [.. before, host, "exec", assembly.Location, Word, type, method, argument];
        ProcessStartInfo start = new(command[0], command[1..])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
            // No threads that come and go, and no descriptors of a debugger's.
            Environment =
            {
                ["DOTNET_TieredCompilation"] = "0", ["DOTNET_EnableDiagnostics"] = "0", ["DOTNET_gcConcurrent"] = "0",
            },
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill();
            Assert.Fail($"{method} {argument} does not end: {output.Result}{error.Result}");
        }
        int code = process.ExitCode;
        Assert.True(code == 0, $"{method} {argument} ended with {code}: {output.Result}{error.Result}");
        return (output.Result, error.Result);
    }

    // What is loaded later would need descriptors then, and keep them.
    private static void LoadAll(Assembly assembly, HashSet<string> seen)
    {
        foreach (AssemblyName name in assembly.GetReferencedAssemblies())
        {
            if (seen.Add(name.FullName)) LoadAll(Assembly.Load(name), seen);
        }
    }

    /// <summary>The child's part: runs the method that its arguments after <see cref="Word"/> name.</summary>
    /// <returns>The exit code.</returns>
    public static int Enter(string[] args)
    {
        if (args is not [var type, var method, var argument]) return 2;
        Assembly suite = Assembly.GetEntryAssembly()!;
        LoadAll(suite, []);
        const BindingFlags Statics = BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public;
        MethodInfo body = suite.GetType(type, throwOnError: true)!.GetMethod(method, Statics)!;
        Folder = Directory.CreateTempSubdirectory("microvm-child-").FullName;
        try
        {
            body.CreateDelegate<Action<string>>()(argument);
            return 0;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine(e);
            return 1;
        }
        finally
        {
            Directory.Delete(Folder, recursive: true);
        }
    }
}
