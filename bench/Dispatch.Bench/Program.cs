using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Dispatch.Bench;
using Perfolizer.Horology;

// Dispatch.Bench SUITE RESULT.md [--full]: runs a suite and writes its tables.
(string Suite, string Title, Type[] Types)[] suites =
[
    ("dispatch", "Register dispatch and the bus", [typeof(VirtioMmioDispatch), typeof(UartDispatch), typeof(BusLookup), typeof(BusAccess)]),
    ("queue", "The queue walk", [typeof(QueueWalk)]),
    ("tables", "Writing the ACPI tables", [typeof(AcpiBuild)]),
];

int at = args.Length >= 2 ? Array.FindIndex(suites, s => s.Suite == args[0]) : -1;
if (at < 0)
{
    Console.Error.WriteLine("usage: Dispatch.Bench dispatch|queue|tables RESULT.md [--full]");
    return 127;
}

// In this process: no project is generated and built for each benchmark. --full lets the engine decide how many iterations it needs.
Job job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance);
if (!args.Contains("--full")) job = job.WithWarmupCount(4).WithIterationCount(8).WithIterationTime(TimeInterval.FromMilliseconds(60));
IConfig config = ManualConfig.CreateEmpty()
    .AddJob(job)
    .AddDiagnoser(MemoryDiagnoser.Default)
    .AddColumnProvider(DefaultColumnProviders.Instance)
    .AddLogger(ConsoleLogger.Default)
    // On a machine that others use the minimum says more than the mean.
    .AddColumn(StatisticColumn.Min, StatisticColumn.Median)
    .HideColumns(Column.Job, Column.Toolchain, Column.Gen0, Column.Error, Column.RatioSD, Column.StdDev)
    .HideColumns("WarmupCount", "IterationCount", "IterationTime")
    .WithArtifactsPath(Path.Combine(AppContext.BaseDirectory, "BenchmarkDotNet.Artifacts"))
    .WithOptions(ConfigOptions.DisableLogFile);

AccumulationLogger tables = new();
bool broken = false;
foreach (Type type in suites[at].Types)
{
    Summary summary = BenchmarkRunner.Run(type, config);
    broken |= summary.HasCriticalValidationErrors || summary.Reports.Any(r => !r.Success);
    if (tables.GetLog().Length == 0) tables.WriteLine($"# {suites[at].Title}\n\n{Suites.About(args[0])}");
    tables.WriteLine($"\n## {Suites.About(type.Name)}\n");
    MarkdownExporter.GitHub.ExportToLog(summary, tables);
}
File.WriteAllText(args[1], Suites.Tidy(tables.GetLog()));
return broken ? 1 : 0;
