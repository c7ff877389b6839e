using System.Reflection;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace MicroVm.Tests.Shared;

/// <summary>Runs the suite that it is part of, for a machine that has the runtime but no SDK: the lab.</summary>
/// <remarks>
/// <c>dotnet SUITE.dll [NAME=VALUE]</c>: all tests, or those with a trait. One line a test: <c>passed: NAME</c>,
/// <c>FAILED: NAME</c> with the reason on the lines after it, or <c>skipped: NAME: REASON</c>. Exit code 0 if at least
/// one test ran and none failed.
/// </remarks>
public sealed class Suite : IMessageSink
{
    private readonly ManualResetEventSlim _finished = new();
    private readonly List<ITestCase> _cases = [];
    private readonly Lock _output = new();
    private int _ran, _failed;

    /// <summary>Runs the tests of the entry assembly.</summary>
    public static int Run(string[] args)
    {
        Suite suite = new();
        return suite.Run(Assembly.GetEntryAssembly()!, args is [string trait, ..] ? trait.Split('=', 2) : null);
    }

    /// <inheritdoc/>
    public bool OnMessage(IMessageSinkMessage message)
    {
        switch (message)
        {
            case ITestCaseDiscoveryMessage found: _cases.Add(found.TestCase); break;
            case ITestPassed passed: Say($"passed: {Line(passed.Test.DisplayName)} ({passed.ExecutionTime:F2} s)"); break;
            case ITestSkipped skipped: Say($"skipped: {Line(skipped.Test.DisplayName)}: {Line(skipped.Reason)}"); break;
            case ITestFailed failed: Fail(failed.Test.DisplayName, failed); break;
            // An error outside of a test: a fixture, a class that cannot be made clean.
            case IErrorMessage error: Fail(error.GetType().Name, error); break;
            case ITestAssemblyCleanupFailure failure: Fail("clean-up of the suite", failure); break;
            case ITestClassCleanupFailure failure: Fail(failure.TestClass.Class.Name, failure); break;
            case ITestCleanupFailure failure: Fail(failure.Test.DisplayName, failure); break;
            case IDiscoveryCompleteMessage or ITestAssemblyFinished: _finished.Set(); break;
        }
        if (message is ITestPassed or ITestFailed) Interlocked.Increment(ref _ran);
        return true;
    }

    private int Run(Assembly assembly, string[]? trait)
    {
        using XunitTestFramework framework = new(this);
        using ITestFrameworkDiscoverer discoverer = framework.GetDiscoverer(Reflector.Wrap(assembly));
        discoverer.Find(false, this, new Options());
        _finished.Wait();
        _finished.Reset();
        IEnumerable<ITestCase> wanted = trait is [string name, string value]
            ? _cases.Where(c => c.Traits.TryGetValue(name, out List<string>? values) && values.Contains(value))
            : _cases;
        using ITestFrameworkExecutor executor = framework.GetExecutor(assembly.GetName());
        executor.RunTests([.. wanted], this, new Options());
        _finished.Wait();
        return _ran > 0 && _failed == 0 ? 0 : 1;
    }

    private void Fail(string name, IFailureInformation why)
    {
        Interlocked.Increment(ref _failed);
        Say($"FAILED: {Line(name)}\n{ExceptionUtility.CombineMessages(why)}\n{ExceptionUtility.CombineStackTraces(why)}");
    }

    private void Say(string text)
    {
        lock (_output) Console.Out.WriteLine(text);
    }

    private static string Line(string text) => text.Replace("\r", "\\r", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    // What a suite does not set is the framework's default.
    private sealed class Options : ITestFrameworkDiscoveryOptions, ITestFrameworkExecutionOptions
    {
        private readonly Dictionary<string, object?> _values = [];

        public TValue GetValue<TValue>(string name) => _values.TryGetValue(name, out object? value) ? (TValue)value! : default!;

        public void SetValue<TValue>(string name, TValue value) => _values[name] = value;
    }
}
