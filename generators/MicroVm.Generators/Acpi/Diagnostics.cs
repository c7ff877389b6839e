using MicroVm.Generators.Common;
using Microsoft.CodeAnalysis;

namespace MicroVm.Generators.Acpi;

/// <summary>What can be wrong in <c>acpi.def</c>. Each has a page in <c>docs/diagnostics</c>.</summary>
internal static class AcpiDiagnostics
{
    public static readonly DiagnosticDescriptor BadName = Error("MVG101", "Bad name", "{0}");
    public static readonly DiagnosticDescriptor UnknownPath = Error("MVG102", "Path not found", "'{0}' is not defined here and not External; {1}");
    public static readonly DiagnosticDescriptor BadParam = Error("MVG103", "Slot and parameter do not match", "{0}");
    public static readonly DiagnosticDescriptor NarrowSlot = Error("MVG104", "Slot narrower than its parameter", "parameter '{0}' has {1} bits, but its slot here holds {2}; declare it as {3}");
    public static readonly DiagnosticDescriptor UnknownBlock = Error("MVG105", "Unknown block or register", "{0}");
    public static readonly DiagnosticDescriptor BadLength = Error("MVG106", "Length does not fit the range", "length {0} is not maximum {1} - minimum {2} + 1; write {3}");
    public static readonly DiagnosticDescriptor OutsideMap = Error("MVG107", "Range outside the machine map", "{0} range {1} to {2} is in no range or place of machine.def; place it there, or make it a parameter");
    public static readonly DiagnosticDescriptor UseBeforeSet = Error("MVG108", "Local or argument used before it is set", "{0}");
    public static readonly DiagnosticDescriptor ArgumentCount = Error("MVG109", "Wrong number of arguments", "'{0}' takes {1}, but {2} stand here");
    public static readonly DiagnosticDescriptor NotRootPathed = Error("MVG110", "Fragment not root-pathed", "{0}");
    public static readonly DiagnosticDescriptor ReadTwice = new("MVG111", "Read-to-clear register read twice",
        "'{0}' is cleared by reading it (register {1} of {2}), and line {3} of this method reads it too; read it once into a Local",
        "MicroVm.Acpi", DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page("MVG111"));
    public static readonly DiagnosticDescriptor Syntax = Error("MVG112", "Syntax of an ACPI definition", "{0}");
    public static readonly DiagnosticDescriptor Duplicate = Error("MVG113", "Name declared twice", "'{0}' is declared in line {1} too; rename one");
    public static readonly DiagnosticDescriptor Layout = Error("MVG114", "Layout of a fixed table", "{0}");

    private static readonly DiagnosticDescriptor[] All =
        [BadName, UnknownPath, BadParam, NarrowSlot, UnknownBlock, BadLength, OutsideMap, UseBeforeSet, ArgumentCount, NotRootPathed, ReadTwice, Syntax, Duplicate, Layout];

    public static DiagnosticDescriptor Find(string id) => All.First(d => d.Id == id);

    private static string Page(string id) => $"docs/diagnostics/{id}.md";

    private static DiagnosticDescriptor Error(string id, string title, string message) =>
        new(id, title, message, "MicroVm.Acpi", DiagnosticSeverity.Error, isEnabledByDefault: true, helpLinkUri: Page(id));
}

/// <summary>Collects the diagnostics of one file.</summary>
internal sealed class DiagnosticBag(string path)
{
    private readonly List<DiagnosticInfo> _items = [];

    public bool HasErrors => _items.Count > 0;

    public EquatableArray<DiagnosticInfo> ToArray() => new([.. _items.OrderBy(static d => d.Start).ThenBy(static d => d.Id, StringComparer.Ordinal)]);

    public void Report(DiagnosticDescriptor what, Token at, params string[] arguments)
    {
        // One thing wrong is one error: a second of the same kind at the same place adds nothing.
        if (_items.Any(d => d.Start == at.Start && d.Id == what.Id)) return;
        _items.Add(new DiagnosticInfo(what.Id, path, at.Start, at.Length, at.Line, at.Column, new EquatableArray<string>(arguments)));
    }
}
