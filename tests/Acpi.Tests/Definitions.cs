using MicroVm.Generators.Acpi;

namespace Acpi.Tests;

/// <summary>The definitions of the tree, as copied beside the tests.</summary>
internal static class Definitions
{
    public static string Folder { get; } = AppContext.BaseDirectory;

    public static RegisterLayouts Layouts { get; } = RegisterLayouts.Merge(
        Directory.GetFiles(Path.Combine(Folder, "devices.def"), "*.def").Order(StringComparer.Ordinal).Select(f => RegisterLayoutReader.Read(File.ReadAllText(f), default)));

    public static string[] Files(string extension) => [.. Directory.GetFiles(Path.Combine(Folder, "acpi.def"), "*" + extension).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    public static string Text(string file) => File.ReadAllText(Path.Combine(Folder, "acpi.def", file));

    public static AslResult Compile(string text, string file = "acpi.def/test.asl") => AslCompiler.Compile(file, text, Layouts, default);

    public static string Describe(AslResult result) =>
        string.Join("\n", result.Diagnostics.Select(d => $"({d.Line + 1},{d.Column + 1}): {d.Id}: {string.Join(" | ", d.Arguments)}"));
}
